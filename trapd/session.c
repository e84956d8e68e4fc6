#include <net-snmp/net-snmp-config.h>

#include <net-snmp/net-snmp-includes.h>

#include "trapd/session.h"

#include <errno.h>
#include <time.h>

#include "common/clock.h"
#include "trapd/carrier.h"
#include "trapd/moment.h"

enum { OID_MAX = 128, TRAP_PORT = 162 };

static const oid sys_uptime[] = {1, 3, 6, 1, 2, 1, 1, 3, 0};
static const oid trap_oid[] = {1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0};

struct session {
    netsnmp_session template; /* strings are Net-SNMP's or `words`' */
    enum session_kind kind;
    char address[128];
    char *words[DIRECTIVE_WORDS_MAX + 2];
    void *handle;           /* NULL: not open */
    struct carrier carrier; /* while it is open */
};

static struct {
    oid base[OID_MAX];
    size_t base_size;
    char said[SESSION_ERROR_MAX]; /* what the library complained of last */
    bool informs;                 /* trapsess said -Ci */
} self;

/* ------------------------------------------------------------------------ the library */

static int on_log(int major, int minor, void *message, void *userdata)
{
    const struct snmp_log_message *log = message;

    (void)major, (void)minor, (void)userdata;
    const char *text =
        strstr(log->msg, "Error: "); /* before it comes the place in a file that it did not read */

    text_copy(self.said, sizeof self.said, text ? text + 7 : log->msg);
    self.said[strcspn(self.said, "\n")] = '\0';
    return 0;
}

/* The library reads its own state in such lines; it adds one to the boots, and begins with 1 if the id is not
 * the old one. */
static void set_engine(const struct engine_id *engine_id, uint32_t boots)
{
    char id[2 * ENGINE_ID_MAX + 1] = "", line[64 + sizeof id];

    for (size_t i = 0; i < engine_id->size; i++)
        snprintf(id + 2 * i, 3, "%02x", engine_id->bytes[i]);
    snprintf(line, sizeof line, "exactEngineID 0x%s", id);
    netsnmp_config_remember(line);
    snprintf(line, sizeof line, "oldEngineID 0x%s", id);
    netsnmp_config_remember(line);
    snprintf(line, sizeof line, "engineBoots %u", boots - 1);
    netsnmp_config_remember(line);
}

void session_setup(const struct engine_id *engine_id, uint32_t boots, const struct config_oid *base)
{
    /* Nothing but what the configuration of duet names is read, and nothing is written. */
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_READ_CONFIGS, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DONT_PERSIST_STATE, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_LOAD, 1);
    netsnmp_ds_set_boolean(NETSNMP_DS_LIBRARY_ID, NETSNMP_DS_LIB_DISABLE_PERSISTENT_SAVE, 1);
    setenv("MIBS", "", 1);
    snmp_disable_log();
    snmp_enable_calllog();
    snmp_register_callback(SNMP_CALLBACK_LIBRARY, SNMP_CALLBACK_LOGGING, on_log, NULL);
    set_engine(engine_id, boots);
    init_snmp("duet-trapd");
    self.base_size = base->count > 0 ? MIN(base->count, OID_MAX / 2u) : MIB_BASE_LENGTH;
    for (size_t i = 0; i < self.base_size; i++)
        self.base[i] = base->count > 0 ? base->arcs[i] : mib_base[i];
}

static int complain(char error[static SESSION_ERROR_MAX], const char *text)
{
    snprintf(error, SESSION_ERROR_MAX, "%.180s%s%.130s", text, self.said[0] ? ": " : "", self.said);
    return -EINVAL;
}

int session_add_user(const char *text, char error[static SESSION_ERROR_MAX])
{
    char line[DIRECTIVE_BYTES_MAX];

    text_copy(line, sizeof line, text);
    self.said[0] = '\0';
    usm_parse_create_usmUser("createUser", line);
    memset(line, 0, sizeof line);
    return self.said[0] ? complain(error, "not a user (NAME SHA \"PASSPHRASE\" AES \"PASSPHRASE\")") : 0;
}

/* ------------------------------------------------------------------------- directives */

/* -Ci is of snmptrap(1), and so of trapsess. */
static void on_option(int argc, char *const *argv, int option)
{
    (void)argc, (void)argv;
    if (option == 'C')
        for (const char *at = optarg; *at; at++)
            self.informs = self.informs || *at == 'i';
}

/* What it prints goes nowhere: a daemon's child has no terminal. */
static int read_trapsess(const struct directive *directive, struct session *session,
                         char error[static SESSION_ERROR_MAX])
{
    static char program[] = "trapsess";
    int count = 0;

    session->words[count++] = program;
    for (size_t i = 0; i < directive->word_count; i++)
        session->words[count++] = (char *)directive_word(directive, i);
    self.informs = false;
    self.said[0] = '\0';
    const int r = netsnmp_parse_args(count, session->words, &session->template, "C:", on_option,
                                     NETSNMP_PARSE_ARGS_NOLOGGING | NETSNMP_PARSE_ARGS_NOZERO);
    if (r < 0 || !session->template.peername)
        return complain(error, "trapsess takes the options of snmpcmd(1) and a host, such as -v 2c -c "
                               "COMMUNITY HOST, or -v 3 -u USER -l "
                               "authPriv -a SHA -A PASSPHRASE -x AES -X PASSPHRASE HOST");
    if (session->template.version == SNMP_VERSION_1 && self.informs)
        return complain(error, "SNMPv1 has no informs: leave -Ci out, or take -v 2c");
    session->kind = session->template.version == SNMP_VERSION_1 ? SESSION_TRAP1
                    : self.informs                              ? SESSION_INFORM
                                                                : SESSION_TRAP2;
    return 0;
}

static int read_sink(const struct directive *directive, struct session *session,
                     char error[static SESSION_ERROR_MAX])
{
    static const enum session_kind kinds[DIRECTIVE_KINDS] = {SESSION_TRAP1, SESSION_TRAP2, SESSION_INFORM, 0};
    const char *host = directive_word(directive, 0);
    const char *community = directive->word_count > 1 ? directive_word(directive, 1) : directive->community;
    static char peer[DIRECTIVE_BYTES_MAX];

    session->kind = kinds[directive->kind];
    session->template.version = session->kind == SESSION_TRAP1 ? SNMP_VERSION_1 : SNMP_VERSION_2c;
    session->template.community = (u_char *)strdup(community);
    session->template.community_len = strlen(community);
    snprintf(peer, sizeof peer, "%s", host);
    if (directive->word_count > 2) {
        const char *port = directive_word(directive, 2);
        if (port[0] == '\0' || strspn(port, "0123456789") != strlen(port) || atoi(port) < 1 ||
            atoi(port) > 65535)
            return complain(error, "a port is a number from 1 to 65535");
        snprintf(peer, sizeof peer, "%s:%s", host, port);
    }
    session->template.peername = strdup(peer);
    return session->template.community && session->template.peername ? 0 : complain(error, "out of memory");
}

/* Of "HOST:PORT", "udp:HOST:PORT", "udp6:[ADDRESS]:PORT"; an IPv6 address alone has no port. */
static bool has_bad_port(const char *peer)
{
    const char *last = strrchr(peer, ':'), *first = strchr(peer, ':');

    if (!last || strspn(last + 1, "0123456789") != strlen(last + 1))
        return false;
    const bool is_port =
        last == first || last[-1] == ']' || strncmp(peer, "udp", 3) == 0 || strncmp(peer, "tcp", 3) == 0;
    return is_port && (strlen(last + 1) > 5 || atoi(last + 1) < 1 || atoi(last + 1) > 65535);
}

int session_new(const struct directive *directive, struct session **session,
                char error[static SESSION_ERROR_MAX])
{
    struct session *made = calloc(1, sizeof *made);

    if (!made)
        return complain(error, "out of memory");
    snmp_sess_init(&made->template);
    made->template.timeout = 1000000;
    made->template.retries = 0;
    self.said[0] = '\0';
    int r = directive->kind == DIRECTIVE_TRAPSESS ? read_trapsess(directive, made, error)
                                                  : read_sink(directive, made, error);
    if (r == 0 && has_bad_port(made->template.peername)) {
        self.said[0] = '\0';
        r = complain(error, "a port is a number from 1 to 65535");
    }
    if (r < 0) {
        session_free(made);
        return r;
    }
    text_copy(made->address, sizeof made->address, made->template.peername);
    *session = made;
    return 0;
}

void session_free(struct session *session)
{
    if (session && session->handle)
        snmp_sess_close(session->handle);
    free(session); /* the few strings of the template live as long as the process */
}

enum session_kind session_kind(const struct session *session)
{
    return session->kind;
}

const char *session_address(const struct session *session)
{
    return session->address;
}

/* ----------------------------------------------------------------------------- opening */

/* Of a trap the sender's engine is the one that counts (RFC 3414, 1.5.1). */
static void use_own_engine(netsnmp_session *s)
{
    size_t size = 0;

    if (s->securityEngineIDLen == 0) {
        s->securityEngineID = snmpv3_generate_engineID(&size);
        s->securityEngineIDLen = size;
    }
    if (s->contextEngineIDLen == 0) {
        s->contextEngineID = snmpv3_generate_engineID(&size);
        s->contextEngineIDLen = size;
    }
    s->engineBoots = (u_int)snmpv3_local_snmpEngineBoots();
    s->engineTime = (u_int)snmpv3_local_snmpEngineTime();
    set_enginetime(s->securityEngineID, (u_int)s->securityEngineIDLen, s->engineBoots, s->engineTime, TRUE);
}

static int open_handle(struct session *session, char error[static SESSION_ERROR_MAX])
{
    netsnmp_session s = session->template;

    self.said[0] = '\0';
    netsnmp_transport *transport = netsnmp_transport_open_client("snmptrap", s.peername);
    if (!transport) {
        complain(error, "cannot reach it, or not a host");
        return -EHOSTUNREACH;
    }
    if (s.version == SNMP_VERSION_3 && session->kind == SESSION_TRAP2)
        use_own_engine(&s);
    if (transport->remote && transport->remote_length > 0)
        carrier_find(transport->remote, (size_t)transport->remote_length, &session->carrier);
    session->handle = snmp_sess_add(&s, transport, NULL, NULL);
    if (session->handle)
        return 0;
    complain(error, "no session");
    return -EHOSTUNREACH;
}

static void shut(struct session *session)
{
    if (session->handle)
        snmp_sess_close(session->handle);
    session->handle = NULL;
}

/* --------------------------------------------------------------------------------- PDUs */

static size_t object_oid(enum mib_object object, oid name[static OID_MAX])
{
    const struct mib_node *node = &mib_objects[object];
    size_t size = self.base_size;

    memcpy(name, self.base, size * sizeof *name);
    for (size_t i = 0; i < node->length; i++)
        name[size++] = node->arcs[i];
    name[size++] = 0;
    return size;
}

static void add_octets(netsnmp_pdu *pdu, enum mib_object object, const void *bytes, size_t size)
{
    oid name[OID_MAX];

    snmp_pdu_add_variable(pdu, name, object_oid(object, name), ASN_OCTET_STR, bytes, size);
}

static void add_number(netsnmp_pdu *pdu, enum mib_object object, int64_t number)
{
    oid name[OID_MAX];
    const size_t size = object_oid(object, name);
    const long integer = (long)MIN(number, INT32_MAX);
    const u_long plain = (u_long)MIN(MAX(number, 0), UINT32_MAX);

    if (mib_objects[object].kind == MIB_KIND_INTEGER)
        snmp_pdu_add_variable(pdu, name, size, ASN_INTEGER, &integer, sizeof integer);
    else
        snmp_pdu_add_variable(pdu, name, size, ASN_UNSIGNED, &plain, sizeof plain);
}

static int64_t age_ms(const struct event *event)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return MAX((now.tv_sec * NS_PER_S + now.tv_nsec - event->wall_ns) / NS_PER_MS, 0);
}

static void add_value(netsnmp_pdu *pdu, enum mib_object object, const struct event *event)
{
    const struct event_value *value = NULL;

    for (size_t i = 0; i < event->value_count && !value; i++)
        value = event->values[i].object == object ? &event->values[i] : NULL;
    if (mib_objects[object].kind != MIB_KIND_OCTETS)
        add_number(pdu, object, value ? value->number : 0);
    else
        add_octets(pdu, object, value ? value->text : "", value ? strlen(value->text) : 0);
}

static void add_object(netsnmp_pdu *pdu, enum mib_object object, const struct event *event)
{
    uint8_t moment[MOMENT_OCTETS];

    switch (object) {
    case MIB_NOTIFY_NODE:
        add_octets(pdu, object, event->node, strlen(event->node));
        break;
    case MIB_NOTIFY_NUMBER:
        add_number(pdu, object, event->number);
        break;
    case MIB_NOTIFY_TIME:
        moment_octets(event->wall_ns, moment);
        add_octets(pdu, object, moment, sizeof moment);
        break;
    case MIB_NOTIFY_AGE:
        add_number(pdu, object, age_ms(event));
        break;
    case MIB_NOTIFY_SUPPRESSED:
        add_number(pdu, object, event->held_back);
        break;
    case MIB_NOTIFY_TEXT:
        add_octets(pdu, object, event->text, strlen(event->text));
        break;
    default:
        add_value(pdu, object, event);
    }
}

/* What the MIB lists, in its order. */
static void add_all(netsnmp_pdu *pdu, const struct event *event)
{
    const struct mib_trap *trap = &mib_notifications[event->kind];

    for (size_t i = 0; i < trap->object_count; i++)
        add_object(pdu, (enum mib_object)trap->objects[i], event);
}

/* In hundredths of a second since the machine started, when it happened; of what was before that, 0. */
static u_long uptime_of(const struct event *event)
{
    return (u_long)((uint64_t)MAX(event->at_ns, 0) / (10 * NS_PER_MS)) & UINT32_MAX;
}

static netsnmp_pdu *make_trap1(const struct session *session, const struct event *event)
{
    netsnmp_pdu *pdu = snmp_pdu_create(SNMP_MSG_TRAP);

    if (!pdu)
        return NULL;
    pdu->enterprise = snmp_duplicate_objid(self.base, self.base_size);
    pdu->enterprise_length = self.base_size;
    pdu->trap_type = SNMP_TRAP_ENTERPRISESPECIFIC;
    pdu->specific_type = (long)event_kind_number(event);
    pdu->time = uptime_of(event);
    memcpy(pdu->agent_addr, session->carrier.ipv4, sizeof session->carrier.ipv4);
    return pdu;
}

static netsnmp_pdu *make_trap2(const struct session *session, const struct event *event)
{
    netsnmp_pdu *pdu = snmp_pdu_create(session->kind == SESSION_INFORM ? SNMP_MSG_INFORM : SNMP_MSG_TRAP2);
    const u_long uptime = uptime_of(event);
    oid kind[OID_MAX];

    if (!pdu)
        return NULL;
    memcpy(kind, self.base, self.base_size * sizeof *kind);
    kind[self.base_size] = 0;
    kind[self.base_size + 1] = event_kind_number(event);
    snmp_pdu_add_variable(pdu, sys_uptime, OID_LENGTH(sys_uptime), ASN_TIMETICKS, &uptime, sizeof uptime);
    snmp_pdu_add_variable(pdu, trap_oid, OID_LENGTH(trap_oid), ASN_OBJECT_ID, kind,
                          (self.base_size + 2) * sizeof *kind);
    return pdu;
}

/* ------------------------------------------------------------------------------ sending */

static int fail(struct session *session, int result, const char *text, char error[static SESSION_ERROR_MAX])
{
    netsnmp_session *s = session->handle ? snmp_sess_session(session->handle) : NULL;
    char *said = NULL;
    int system_error = 0, library_error = 0;

    if (s)
        snmp_error(s, &system_error, &library_error, &said);
    snprintf(error, SESSION_ERROR_MAX, "%s%s%.120s", text, said ? ": " : "", said ? said : "");
    free(said);
    shut(session); /* the next attempt makes a new one */
    return result;
}

static int send_inform(struct session *session, netsnmp_pdu *pdu, char error[static SESSION_ERROR_MAX])
{
    netsnmp_pdu *response = NULL;
    const int status = snmp_sess_synch_response(session->handle, pdu, &response);
    const bool acknowledged = status == STAT_SUCCESS && response && response->command == SNMP_MSG_RESPONSE;

    if (response)
        snmp_free_pdu(response);
    if (acknowledged)
        return 0;
    return status == STAT_TIMEOUT ? fail(session, -ETIMEDOUT, "it does not acknowledge", error)
                                  : fail(session, -EIO, "it does not take it", error);
}

int session_send(struct session *session, const struct event *event, char error[static SESSION_ERROR_MAX])
{
    if (!session->handle) {
        const int opened = open_handle(session, error);
        if (opened < 0)
            return opened;
    }
    if (session->kind != SESSION_INFORM && !carrier_is_there(&session->carrier)) {
        snprintf(error, SESSION_ERROR_MAX, "%s has no carrier", session->carrier.device);
        shut(session); /* there may be another way by then */
        return -ENETDOWN;
    }
    netsnmp_pdu *pdu =
        session->kind == SESSION_TRAP1 ? make_trap1(session, event) : make_trap2(session, event);
    if (!pdu)
        return fail(session, -ENOMEM, "out of memory", error);
    add_all(pdu, event);
    if (session->kind == SESSION_INFORM)
        return send_inform(session, pdu, error);
    if (snmp_sess_send(session->handle, pdu))
        return 0;
    snmp_free_pdu(pdu);
    return fail(session, -ENETUNREACH, "cannot send", error);
}
