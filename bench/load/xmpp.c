// The server that a component logs in at (XEP-0114): it sends stanzas, takes stanzas, and answers pings (XEP-0199).
//
// It knows no XML beyond what gateways write on such a stream: stanzas are found by their tags, attributes by their
// quotes. The handshake's hash isn't checked: whoever connects to this port was started by the bench.
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPENING, HANDSHAKE, READY };

struct connection *component;
uint64_t xmpp_errors, xmpp_pings;

void xmpp_templates(void) {
    char text[16384], body[2048], escaped[8192], to[128];
    body_make(body, options.body);
    char *out = escaped;
    for (char *at = body; *at; at++) out += sprintf(out, *at == '&' ? "&amp;" : *at == '<' ? "&lt;" : "%c", *at);
    flow.templates = calloc((size_t)options.people, sizeof *flow.templates);
    for (int person = 0; person < options.people; person++) {
        snprintf(to, sizeof to, options.xmpp_to, person);
        snprintf(text, sizeof text,
                 "<message from='v%04d@%s/res-%x' to='%s' type='chat' id='" MARK "0000000000-%x'><body>%s</body>"
                 "<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>"
                 "<origin-id xmlns='urn:xmpp:sid:0' id='" MARK "0000000000-%x'/></message>",
                 person, options.xmpp_domain, person * 7919, to, run_id, escaped, run_id);
        template_make(&flow.templates[person], text);
    }
}

void xmpp_send(struct template *template) {
    if (component) wire_put(component, template->bytes, (size_t)template->length);
}

bool xmpp_ready(void) { return component && (component->kind == RAW || component->stage == READY); }

// The value of an attribute in a start tag; empty when it isn't there.
static void attribute(const char *tag, const char *end, const char *name, char *out, size_t room) {
    size_t size = strlen(name);
    *out = 0;
    for (const char *at = tag; (at = memmem(at, (size_t)(end - at), name, size)); at++) {
        if (at[-1] != ' ' || at + size + 1 >= end || at[size] != '=') continue;
        const char *value = at + size + 2, *stop = memchr(value, at[size + 1], (size_t)(end - value));
        if (stop && (size_t)(stop - value) < room) {
            memcpy(out, value, (size_t)(stop - value));
            out[stop - value] = 0;
        }
        return;
    }
}

static void answer_iq(struct connection *from, const char *stanza, const char *tag_end, const char *end) {
    char type[16], id[256], sender[1024], recipient[1024], out[4096];
    attribute(stanza, tag_end, "type", type, sizeof type);
    if (strcmp(type, "get") && strcmp(type, "set")) return;
    attribute(stanza, tag_end, "id", id, sizeof id);
    attribute(stanza, tag_end, "from", sender, sizeof sender);
    attribute(stanza, tag_end, "to", recipient, sizeof recipient);
    bool ping = memmem(stanza, (size_t)(end - stanza), "urn:xmpp:ping", 13);
    xmpp_pings += ping;
    // A server without such a user answers so as well: either way all that was sent before has been read.
    int size = snprintf(out, sizeof out, "<iq type='%s' id='%s' from='%s' to='%s'>%s</iq>", ping ? "result" : "error", id,
                        recipient, sender,
                        ping ? "" : "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>");
    wire_put(from, out, (size_t)size);
}

static void take_message(const char *stanza, const char *tag_end, const char *end, uint64_t now) {
    char type[16], id[256];
    attribute(stanza, tag_end, "type", type, sizeof type);
    if (!strcmp(type, "error")) {
        attribute(stanza, tag_end, "id", id, sizeof id);
        if (xmpp_errors++ < 3) fprintf(stderr, "refused: %.*s\n", (int)(end - stanza), stanza);
        flow_refused(flow_number(id, strlen(id)));
        return;
    }
    const char *body = memmem(tag_end, (size_t)(end - tag_end), "<body", 5);
    if (body) flow_delivered(flow_number(body, (size_t)(end - body)), 0, now);
}

static const char *close_tag(const char *name) {
    return !strcmp(name, "message") ? "</message>" : !strcmp(name, "iq") ? "</iq>" : "</presence>";
}

static char *stanzas(struct connection *from, char *at, char *end, uint64_t now) {
    static const char *names[] = {"message", "iq", "presence"};
    while (at < end) {
        if (*at != '<') {  // whitespace keepalive
            at++;
            continue;
        }
        const char *name = NULL;
        for (int i = 0; i < 3; i++)
            if ((size_t)(end - at) > strlen(names[i]) + 1 && !strncmp(at + 1, names[i], strlen(names[i]))) name = names[i];
        char *tag_end = memchr(at, '>', (size_t)(end - at));
        if (!tag_end) break;
        if (!name) {  // </stream:stream> or an error before it
            at = tag_end + 1;
            continue;
        }
        char *stop = tag_end + 1;
        if (tag_end[-1] != '/') {
            const char *close = close_tag(name);
            stop = memmem(tag_end, (size_t)(end - tag_end), close, strlen(close));
            if (!stop) break;
            stop += strlen(close);
        }
        if (*name == 'm') take_message(at, tag_end, stop, now);
        else if (*name == 'i') answer_iq(from, at, tag_end, stop);
        at = stop;
    }
    return at;
}

size_t xmpp_stream(struct connection *from, uint64_t now) {
    char *at = from->in, *end = from->in + from->in_length;
    if (from->stage == OPENING) {
        char *tag = memmem(at, (size_t)(end - at), "<stream:stream", 14), *close = tag ? memchr(tag, '>', (size_t)(end - tag)) : NULL;
        if (!close) return 0;
        char to[256], out[512];
        attribute(tag, close, "to", to, sizeof to);
        wire_put(from, out,
                 (size_t)snprintf(out, sizeof out,
                                  "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' "
                                  "xmlns:stream='http://etherx.jabber.org/streams' from='%s' id='s%x'>",
                                  to, run_id));
        from->stage = HANDSHAKE;
        at = close + 1;
    }
    if (from->stage == HANDSHAKE) {
        char *close = memmem(at, (size_t)(end - at), "</handshake>", 12);
        if (!close) return (size_t)(at - from->in);
        wire_put(from, "<handshake/>", 12);
        from->stage = READY;
        component = from;
        at = close + 12;
    }
    return (size_t)(stanzas(from, at, end, now) - from->in);
}

// Behind a bare relay: the same stanzas, which nobody has touched.
size_t xmpp_raw(struct connection *from, uint64_t now) { return (size_t)(stanzas(from, from->in, from->in + from->in_length, now) - from->in); }
