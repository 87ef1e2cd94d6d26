// What the parts of the load generator share. One thread, one epoll, everything on loopback.
#pragma once
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --- main.c: what was asked for ------------------------------------------------------------------------------

enum mode { SIP_TO_XMPP, XMPP_TO_SIP, SIP_TO_SIP, XMPP_RAW };

struct options {
    enum mode mode;
    bool tcp;               // SIP over TCP instead of UDP
    uint64_t window;        // closed loop: so many unfinished messages at any time
    double rate;            // open loop: so many messages a second; 0 for a closed loop
    uint64_t messages;      // how many are measured
    uint64_t warm_up;       // how many come before them
    double seconds;         // the measured part ends after this time, whatever was reached
    double patience;        // after so many seconds a message no longer counts as under way
    int people;             // distinct senders, and as many distinct recipients
    int body;               // bytes of text in a message
    int gateway_port;       // SIP: the system under test listens here
    int sip_port;           // SIP: we listen (and send from) here
    int component_port;     // XEP-0114: we listen here; XMPP_RAW: the relay listens here
    const char *sip_domain, *xmpp_domain;
    const char *sip_to;     // user part and domain of a Request-URI, `%d` stands for the number of the person
    const char *xmpp_to;    // a `to` of a stanza, likewise
};
extern struct options options;
extern unsigned run_id;

uint64_t now_ns(void);
_Noreturn void fail(const char *what);

// --- flow.c: which messages are under way, and what became of them -------------------------------------------

#define MARK "seq-"
#define MARK_LENGTH 4
#define DIGITS 10

struct template {           // a ready datagram or stanza; only the digits after each MARK change
    char *bytes;
    int length, count, place[4];
};

struct flow {
    uint64_t next, tail, completed, sent, delivered, answered, refused, duplicates, late, retransmitted, repeats, strays;
    struct template *templates;
    bool needs_answer;
    uint32_t *delivery_us_x10, *answer_us_x10;
    uint64_t deliveries, answers, capacity;
    bool measuring;
};
extern struct flow flow;

void flow_open(void);
uint64_t flow_outstanding(void);
struct template *flow_next(uint64_t due_ns);   // numbers a template and counts it as sent
// `copy` tells one request from another that carries the same message; 0 where nothing may come again.
void flow_delivered(int64_t number, uint32_t copy, uint64_t now);
void flow_answered(int64_t number, uint64_t now);
void flow_refused(int64_t number);
void flow_expire(uint64_t now, void (*resend)(struct template *));
int64_t flow_number(const char *bytes, size_t length);   // the first MARK in there, or -1
void template_make(struct template *template, const char *text);
void body_make(char *out, int length);

// --- wire.c: sockets and buffers ------------------------------------------------------------------------------

enum kind { UDP, SIP_LISTENER, SIP_STREAM, COMPONENT_LISTENER, COMPONENT, RAW_LISTENER, RAW };

struct connection {
    int fd;
    enum kind kind;
    int stage;                       // of a component's handshake: see xmpp.c
    char *in, *out;
    size_t in_length, out_length, out_sent, out_room;
    bool blocked;
};

struct connection *wire_udp(int port);
struct connection *wire_listen(int port, enum kind kind);
struct connection *wire_connect(int port, enum kind kind);
void wire_put(struct connection *connection, const char *bytes, size_t length);
void wire_send_datagram(const char *bytes, size_t length, const struct sockaddr_in *to);
void wire_flush(void);
void wire_turn(int64_t wait_us);     // flush, wait, read
struct sockaddr_in loopback(int port);
extern int wire_closed;              // streams that the other side has ended

// --- sip.c, xmpp.c: enough of the protocols to speak with a gateway ------------------------------------------

void sip_templates(void);
void sip_send(struct template *template);
void sip_open(void);
void sip_message(struct connection *from, char *bytes, int length, const struct sockaddr_in *address, uint64_t now);
size_t sip_stream(struct connection *from, uint64_t now);     // returns the bytes that were used

void xmpp_templates(void);
void xmpp_send(struct template *template);
bool xmpp_ready(void);
size_t xmpp_stream(struct connection *from, uint64_t now);
size_t xmpp_raw(struct connection *from, uint64_t now);
extern struct connection *component;   // the stream of the component that has logged in, or the raw one
extern uint64_t xmpp_errors, xmpp_pings, sip_errors;

// --- usage.c: what the system under test has used -------------------------------------------------------------

struct usage { double run_s, user_s, system_s; long memory_kb; uint64_t switches; };
void usage_add_pid(int pid);
void usage_read(struct usage *out, bool with_memory);
