#include <stdlib.h>
#include <string.h>

#include "cli/import_parts.h"

struct verdict {
    const char *word;
    enum remark_kind kind;
    const char *why;
};

static bool is_among(struct import *import, struct statement *statement, const struct verdict verdicts[],
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(verdicts[i].word);
        const bool prefix = verdicts[i].word[length - 1] == '*';
        if (prefix ? strncmp(statement->words[0], verdicts[i].word, length - 1) == 0
                   : strcmp(statement->words[0], verdicts[i].word) == 0) {
            import_tell_statement(import, verdicts[i].kind, statement, "%s", verdicts[i].why);
            return true;
        }
    }
    return false;
}

static const struct verdict of_instance[] = {
    {"state", REMARK_NOT_NEEDED, "both nodes are equal; who started first serves"},
    {"priority", REMARK_LEFT_OUT,
     "both nodes are equal: no node is preferred, and the role does not move back by itself"},
    {"nopreempt", REMARK_NOT_NEEDED, "the role never moves back by itself"},
    {"preempt", REMARK_LEFT_OUT, "the role does not move back by itself; `duet switch` moves it"},
    {"preempt_delay", REMARK_LEFT_OUT, "the role does not move back by itself; `duet switch` moves it"},
    {"virtual_router_id", REMARK_NOT_NEEDED, "the cluster's name and key tell pairs from each other"},
    {"advert_int", REMARK_LEFT_OUT,
     "heartbeats come each 50 ms (profile lan); other times: profile, heartbeat-interval and takeover-after"},
    {"authentication", REMARK_NOT_NEEDED, "heartbeats are sealed with the cluster's key: duet keygen"},
    {"version", REMARK_NOT_NEEDED, "there is no VRRP on the wire"},
    {"strict_mode", REMARK_NOT_NEEDED, "there is no VRRP on the wire"},
    {"mcast_src_ip", REMARK_NOT_NEEDED, "heartbeats on channels are Ethernet frames of their own"},
    {"mcast_dst_ip", REMARK_NOT_NEEDED, "heartbeats on channels are Ethernet frames of their own"},
    {"check_unicast_src", REMARK_NOT_NEEDED, "heartbeats are sealed"},
    {"dont_track_primary", REMARK_LEFT_OUT, "a channel whose adapter has no carrier is always a fault"},
    {"use_vmac*", REMARK_LEFT_OUT,
     "there is no virtual MAC address: the new owner announces itself by gratuitous ARP, and asks the "
     "routers"},
    {"vmac_*", REMARK_LEFT_OUT, "there is no virtual MAC address"},
    {"use_ipvlan", REMARK_LEFT_OUT, "there is no virtual device"},
    {"garp_*", REMARK_NOT_NEEDED, "announcements are repeated by themselves, at once and for 2 s"},
    {"lower_prio_no_advert", REMARK_NOT_NEEDED, "there are no priorities"},
    {"higher_prio_send_advert", REMARK_NOT_NEEDED, "there are no priorities"},
    {"accept", REMARK_NOT_NEEDED, "the active node takes what is sent to the active addresses"},
    {"no_accept", REMARK_LEFT_OUT,
     "the active node takes what is sent to the active addresses; use nftables to refuse it"},
    {"native_ipv6", REMARK_NOT_NEEDED, "both families may be in one channel"},
    {"smtp_alert*", REMARK_LEFT_OUT, "duet sends no mail: use `snmp`, `monitor`, or a hook"},
    {"debug", REMARK_NOT_NEEDED, "DUET_DEBUG in the environment shows more"},
    {"linkbeat_*", REMARK_NOT_NEEDED, "carriers are watched through the kernel"},
    {"kernel_rx_buf_size", REMARK_NOT_NEEDED, "it has no counterpart, and no need of one"},
    {"skip_check_adv_addr", REMARK_NOT_NEEDED, "heartbeats are sealed"},
    {"lvs_*", REMARK_LEFT_OUT, "balancing by IPVS is not duet's"},
    {"virtual_rules", REMARK_LEFT_OUT,
     "they are not translated: write each as rule \"NAME\" { from = ...  to = ...  table = N  priority = N "
     "}"},
    {"track_bfd", REMARK_LEFT_OUT,
     "there is no BFD; the router test of a channel takes its place: router = {...}"},
    {"track_file", REMARK_LEFT_OUT, "there are no files to track; the check of a service can look at one"},
    {"promote_secondaries", REMARK_NOT_NEEDED, "it is set by itself"},
    {"thread_timer_expired*", REMARK_NOT_NEEDED, "late timers are measured by themselves"},
};

static const struct verdict of_top[] = {
    {"static_*", REMARK_LEFT_OUT, "the operating system configures what both nodes have all the time"},
    {"virtual_server*", REMARK_LEFT_OUT,
     "balancing by IPVS is not duet's: leave it to a keepalived without VRRP (keepalived -C), as a guarded "
     "service"},
    {"real_server*", REMARK_LEFT_OUT, "balancing by IPVS is not duet's"},
    {"vrrp_track_file", REMARK_LEFT_OUT,
     "there are no files to track; the check of a service can look at one"},
    {"track_file", REMARK_LEFT_OUT, "there are no files to track; the check of a service can look at one"},
    {"bfd_instance", REMARK_LEFT_OUT, "there is no BFD; the router test of a channel takes its place"},
    {"track_group", REMARK_NOT_NEEDED, "all channels of a pair move together"},
    {"garp_group", REMARK_NOT_NEEDED, "announcements need no groups"},
    {"SSL", REMARK_LEFT_OUT, "balancing by IPVS is not duet's"},
    {"include*", REMARK_LEFT_OUT, "no other file is read: put its text here, and import again"},
    {"net_namespace*", REMARK_LEFT_OUT, "start duet in that namespace: ip netns exec NAME duet run"},
    {"instance", REMARK_NOT_NEEDED, "--run-dir and --state-dir tell pairs on one machine from each other"},
    {"linkbeat_*", REMARK_NOT_NEEDED, "carriers are watched through the kernel"},
    {"use_pid_dir", REMARK_NOT_NEEDED, "run files are in the run directory"},
};

static const struct verdict of_globals[] = {
    {"notification_email*", REMARK_LEFT_OUT, "duet sends no mail: use `snmp`, `monitor`, or a hook"},
    {"smtp_*", REMARK_LEFT_OUT, "duet sends no mail: use `snmp`, `monitor`, or a hook"},
    {"router_id", REMARK_NOT_NEEDED, "the name of a node is --node, or the hostname"},
    {"enable_script_security", REMARK_NOT_NEEDED,
     "a configuration that others can write is refused by itself"},
    {"vrrp_garp*", REMARK_NOT_NEEDED, "announcements are repeated by themselves, at once and for 2 s"},
    {"vrrp_gna*", REMARK_NOT_NEEDED, "announcements are repeated by themselves"},
    {"vrrp_strict", REMARK_NOT_NEEDED, "there is no VRRP on the wire"},
    {"vrrp_mcast*", REMARK_NOT_NEEDED, "there is no VRRP on the wire"},
    {"vrrp_*", REMARK_NOT_NEEDED, "it tunes keepalived's own processes or its protocol"},
    {"enable_snmp*", REMARK_LEFT_OUT, "SNMP is the section `snmp`: sinks, and AgentX for the tables"},
    {"snmp_*", REMARK_LEFT_OUT, "SNMP is the section `snmp`: sinks, and AgentX for the tables"},
    {"enable_traps", REMARK_LEFT_OUT, "SNMP is the section `snmp`: sinks, and AgentX for the tables"},
    {"enable_dbus", REMARK_LEFT_OUT,
     "there is no D-Bus interface: the bus and `duet status --json` tell all"},
    {"lvs_*", REMARK_LEFT_OUT, "balancing by IPVS is not duet's"},
    {"process_names", REMARK_NOT_NEEDED, "each daemon has a name of its own"},
    {"dynamic_interfaces", REMARK_NOT_NEEDED, "adapters may come and go"},
    {"max_auto_priority", REMARK_NOT_NEEDED,
     "the daemons of the lease chain ask for real-time scheduling by themselves"},
};

static const struct verdict of_group[] = {
    {"group", REMARK_NOT_NEEDED, "all channels of a pair move together"},
    {"sync_group_tracking_weight", REMARK_NOT_NEEDED, "there are no priorities"},
    {"global_tracking", REMARK_NOT_NEEDED, "all channels of a pair move together"},
    {"smtp_alert*", REMARK_LEFT_OUT, "duet sends no mail: use `snmp`, `monitor`, or a hook"},
};

bool import_judge(struct import *import, struct statement *statement, enum import_place place)
{
    static const struct {
        const struct verdict *verdicts;
        size_t count;
    } tables[] = {[PLACE_TOP] = {of_top, ARRAY_LENGTH(of_top)},
                  [PLACE_GLOBALS] = {of_globals, ARRAY_LENGTH(of_globals)},
                  [PLACE_GROUP] = {of_group, ARRAY_LENGTH(of_group)},
                  [PLACE_INSTANCE] = {of_instance, ARRAY_LENGTH(of_instance)}};

    return is_among(import, statement, tables[place].verdicts, tables[place].count);
}
