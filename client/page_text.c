#include "client/page_text.h"

#include <inttypes.h>
#include <string.h>

static void put_text(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
}

static void put_paragraph(FILE *out, const char *class, const char *text)
{
    if (text[0] == '\0')
        return;
    fprintf(out, "<p class=\"%s\">", class);
    put_text(out, text);
    fputs("</p>\n", out);
}

/* "3 s", "12 min", "5 h", "2 days" */
static void put_age(FILE *out, int64_t since_ns, int64_t now_ns)
{
    const int64_t s = since_ns > 0 ? MAX(now_ns - since_ns, 0) / NS_PER_S : 0;

    if (s < 120)
        fprintf(out, "%" PRId64 " s", s);
    else if (s < 7200)
        fprintf(out, "%" PRId64 " min", s / 60);
    else if (s < 172800)
        fprintf(out, "%" PRId64 " h", s / 3600);
    else
        fprintf(out, "%" PRId64 " days", s / 86400);
}

static const char *state_of(const struct profile_message *profile, const struct profile_entry *entry)
{
    const bool current = strcmp(entry->name, profile->current) == 0;

    if (current && profile->connected)
        return "connected";
    if (current && profile->silent_since_ns != 0 && entry->state == CONNECTION_STATE_UP)
        return "unreachable";
    return connection_state_names[entry->state];
}

static void put_profile(FILE *out, const struct profile_message *profile, const struct profile_entry *entry,
                        const char *token, int64_t now_ns)
{
    const bool current = strcmp(entry->name, profile->current) == 0;
    const char *state = state_of(profile, entry);

    fprintf(out, "<tr class=\"%s %s\"><td><form method=\"post\" action=\"/use\">",
            current ? "current" : "other", state);
    fprintf(out, "<input type=\"hidden\" name=\"token\" value=\"%s\"><button name=\"profile\" value=\"",
            token);
    put_text(out, entry->name);
    fputs("\">", out);
    put_text(out, entry->name);
    fprintf(out, "</button></form></td><td>%s", state);
    if (entry->state != CONNECTION_STATE_DOWN) {
        fputs(", ", out);
        put_age(out, entry->since_ns, now_ns);
    }
    fprintf(out, "</td><td>gateway: %s</td><td>%s</td></tr>\n", answer_state_names[entry->gateways],
            strcmp(entry->name, profile->remembered) == 0 ? "default" : "");
}

static void put_gateway(FILE *out, const char *name, const struct gateway_message *gateway)
{
    fputs("<tr><td>", out);
    put_text(out, name);
    fputs("</td><td>", out);
    put_text(out, gateway->address);
    fprintf(out, "</td><td class=\"%s\">%s", answer_state_names[gateway->state],
            answer_state_names[gateway->state]);
    if (gateway->state == ANSWER_STATE_ANSWERS)
        fprintf(out, ", %.1f ms", (double)gateway->rtt_us / 1000);
    fputs("</td><td>", out);
    put_text(out, gateway->text);
    fputs("</td></tr>\n", out);
}

static void put_headline(FILE *out, const struct profile_message *profile, int64_t now_ns)
{
    if (profile->outcome == SWITCH_STATE_SWITCHING) {
        fputs("<p class=\"headline\">Switching to ", out);
        put_text(out, profile->to);
        fputs(" …</p>\n", out);
        return;
    }
    fprintf(out, "<p class=\"headline %s\">", profile->connected ? "good" : "bad");
    put_text(out, profile->current);
    fprintf(out, profile->connected ? " is connected, in use for " : " is not connected, in use for ");
    put_age(out, profile->since_ns, now_ns);
    fputs("</p>\n", out);
}

void page_print_state(FILE *out, const struct view *view, const char *token, int64_t now_ns)
{
    const struct profile_message *profile = &view->profile;

    put_headline(out, profile, now_ns);
    put_paragraph(out, "bad", profile->advice);
    put_paragraph(out, "bad", profile->error);
    fputs("<table class=\"profiles\">\n", out);
    for (size_t i = 0; i < profile->profiles_count; i++)
        put_profile(out, profile, &profile->profiles[i], token, now_ns);
    fputs("</table>\n<table class=\"gateways\">\n", out);
    for (size_t i = 0; i < view->gateway_count; i++)
        put_gateway(out, view->gateway_names[i], &view->gateways[i]);
    fputs("</table>\n", out);
}

static const char style[] =
    "body{font:16px sans-serif;max-width:46em;margin:2em auto;color:#222}h1{font-size:1.2em}"
    "table{border-collapse:collapse;width:100%;margin:1em 0}td{padding:.35em .6em;border-top:1px solid #ddd}"
    "form{margin:0}button{font:inherit;width:13em;padding:.5em;cursor:pointer}"
    ".current button{font-weight:bold}.connected button{background:#cfe8cf}.unreachable "
    "button{background:#f3c9c2}"
    ".headline{font-size:1.4em}.good,.answers{color:#186a18}.bad,.silent{color:#a61b0b}.gateways{font-size:."
    "85em}";

static const char script[] =
    "setInterval(async()=>{const box=document.getElementById('state');try{const answer=await fetch('/state');"
    "if(answer.ok)box.innerHTML=await answer.text();}"
    "catch(e){box.innerHTML='<p class=\"bad\">roamd does not answer</p>';}},1000);";

void page_print(FILE *out, const struct view *view, const char *token, const char *nonce, int64_t now_ns)
{
    fprintf(out,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>duet client</title>\n"
            "<style nonce=\"%s\">%s</style></head>\n<body><h1>Connected by</h1>\n<div id=\"state\">\n",
            nonce, style);
    page_print_state(out, view, token, now_ns);
    fprintf(out, "</div>\n<script nonce=\"%s\">%s</script></body></html>\n", nonce, script);
}
