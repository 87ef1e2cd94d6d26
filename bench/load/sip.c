// Both ends of SIP: the phone that sends MESSAGE, and the phone that answers 200.
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct connection *source;        // TCP: what we send our requests on
static struct sockaddr_in gateway;
uint64_t sip_errors;

void sip_open(void) {
    gateway = loopback(options.gateway_port);
    if (options.tcp && options.mode != XMPP_TO_SIP) source = wire_connect(options.gateway_port, SIP_STREAM);
}

void sip_templates(void) {
    char text[8192], body[4096], to[128];
    body_make(body, options.body);
    flow.templates = calloc((size_t)options.people, sizeof *flow.templates);
    for (int person = 0; person < options.people; person++) {
        snprintf(to, sizeof to, options.sip_to, person);
        snprintf(text, sizeof text,
                 "MESSAGE sip:%s SIP/2.0\r\n"
                 "Via: SIP/2.0/%s 127.0.0.1:%d;branch=z9hG4bK-" MARK "0000000000-%x;rport\r\n"
                 "Max-Forwards: 70\r\n"
                 "From: \"User %d\" <sip:u%04d@%s>;tag=t%x%04x\r\n"
                 "To: <sip:%s>\r\n"
                 "Call-ID: " MARK "0000000000-%x@127.0.0.1\r\n"
                 "CSeq: 1 MESSAGE\r\n"
                 "User-Agent: Softphone/4.2.1 (Linux x86_64)\r\n"
                 "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, NOTIFY, SUBSCRIBE, INFO\r\n"
                 "Supported: replaces, outbound\r\n"
                 "Content-Type: text/plain\r\n"
                 "Content-Length: %d\r\n\r\n%s",
                 to, options.tcp ? "TCP" : "UDP", options.sip_port, run_id, person, person, options.sip_domain, run_id,
                 person, to, run_id, (int)strlen(body), body);
        template_make(&flow.templates[person], text);
    }
}

void sip_send(struct template *template) {
    if (!options.tcp) wire_send_datagram(template->bytes, (size_t)template->length, &gateway);
    else if (source->fd >= 0) wire_put(source, template->bytes, (size_t)template->length);
}

// A 200 made of the request's own Via, From, To, Call-ID and CSeq (RFC 3261 section 8.2.6.2).
static int ok(const char *request, int length, char *out, size_t room) {
    static const char *copied[] = {"Via:", "v:", "From:", "f:", "Call-ID:", "i:", "CSeq:", "To:", "t:"};
    const char *end = request + length, *line = memchr(request, '\n', (size_t)length);
    char *at = out + sprintf(out, "SIP/2.0 200 OK\r\n");
    while (line && ++line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop || stop - line <= 1) break;
        int size = (int)(stop - line);
        if (line[size - 1] == '\r') size--;
        if (at + size + 64 > out + room) return 0;
        for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
            if (strncasecmp(line, copied[i], strlen(copied[i]))) continue;
            memcpy(at, line, (size_t)size);
            at += size;
            if (i >= 7 && !memmem(line, (size_t)size, ";tag=", 5)) at += sprintf(at, ";tag=load%x", run_id);
            at += sprintf(at, "\r\n");
            break;
        }
        line = stop;
    }
    return (int)(at - out) + sprintf(at, "Content-Length: 0\r\n\r\n");
}

// A number for the branch of the top Via: equal in the retransmissions of one request.
static uint32_t branch(const char *request, int length) {
    const char *at = memmem(request, (size_t)length, ";branch=", 8);
    uint32_t hash = 2166136261u;
    for (at = at ? at + 8 : request + length; at < request + length && !strchr(";, \r\n", *at); at++)
        hash = (hash ^ (uint8_t)*at) * 16777619u;
    return hash | 1;
}

void sip_message(struct connection *from, char *bytes, int length, const struct sockaddr_in *address, uint64_t now) {
    if (length > 12 && !memcmp(bytes, "SIP/2.0 ", 8)) {
        if (bytes[8] == '1') return;
        int64_t number = flow_number(bytes, (size_t)length);
        if (bytes[8] == '2') {
            flow_answered(number, now);
        } else {
            if (sip_errors++ < 3) fprintf(stderr, "refused: %.*s\n", (int)strcspn(bytes, "\r\n"), bytes);
            flow_refused(number);
        }
        return;
    }
    char answer[4096];
    int size = ok(bytes, length, answer, sizeof answer);
    if (!size) return;
    if (from->kind == UDP) wire_send_datagram(answer, (size_t)size, address);
    else wire_put(from, answer, (size_t)size);
    char *body = memmem(bytes, (size_t)length, "\r\n\r\n", 4);
    if (length > 8 && !memcmp(bytes, "MESSAGE ", 8) && body)
        flow_delivered(flow_number(body, (size_t)(bytes + length - body)), branch(bytes, length), now);
}

size_t sip_stream(struct connection *from, uint64_t now) {
    char *at = from->in, *end = from->in + from->in_length;
    *end = 0;
    while (at < end) {
        if (*at == '\r' || *at == '\n') {  // keepalive
            at++;
            continue;
        }
        char *blank = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
        if (!blank) break;
        blank[2] = 0;
        char *field = strcasestr(at, "\r\nContent-Length:");
        long size = field ? atol(field + 17) : (field = strcasestr(at, "\r\nl:")) ? atol(field + 4) : 0;
        blank[2] = '\r';
        if (size < 0 || blank + 4 + size > end) break;
        sip_message(from, at, (int)(blank + 4 + size - at), NULL, now);
        at = blank + 4 + size;
    }
    return (size_t)(at - from->in);
}
