// A load generator and sink for gateways between SIP and XMPP, meant never to be the bottleneck itself.
//
// It plays both outer ends at once, so one process and one clock see a message leave and arrive:
//
//   --mode sip-xmpp   phone -> SIP MESSAGE -> [system] -> XEP-0114 stream -> server
//   --mode xmpp-sip   server -> XEP-0114 stream -> [system] -> SIP MESSAGE -> phone, which answers 200
//   --mode sip-sip    phone -> [relay] -> phone, and the 200 back
//   --mode stanzas    stanzas as opaque bytes through a TCP relay, one way
//
// A closed loop (--window) keeps so many messages under way; an open loop (--rate) sends by the clock, and latency
// counts from the moment when a message was due.
//
// When both ends stand it prints `ready` and waits for a line with the ids of the processes to be measured; at the
// end it prints one line of JSON.
#include "load.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct options options = {
    .window = 16, .messages = 20000, .warm_up = 2000, .seconds = 20, .patience = 5, .people = 512, .body = 160,
    .gateway_port = 5060, .sip_port = 5070, .component_port = 5347,
    .sip_domain = "sip.test", .xmpp_domain = "xmpp.test", .sip_to = "v%04d@xmpp.test", .xmpp_to = "u%04d@sip.test",
};
unsigned run_id;

#define READY_WITHIN_S 20
#define DRAIN_S 3

uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

_Noreturn void fail(const char *what) {
    perror(what);
    exit(2);
}

static void parse(int argc, char **argv) {
    static const struct option known[] = {
        {"mode", 1, 0, 'm'}, {"transport", 1, 0, 't'}, {"window", 1, 0, 'w'}, {"rate", 1, 0, 'r'}, {"messages", 1, 0, 'n'},
        {"warm-up", 1, 0, 'W'}, {"seconds", 1, 0, 's'}, {"patience", 1, 0, 'p'}, {"people", 1, 0, 'u'}, {"body", 1, 0, 'b'},
        {"gateway-port", 1, 0, 'g'}, {"sip-port", 1, 0, 'l'}, {"component-port", 1, 0, 'c'}, {"sip-domain", 1, 0, 'S'},
        {"xmpp-domain", 1, 0, 'X'}, {"sip-to", 1, 0, 'R'}, {"xmpp-to", 1, 0, 'J'}, {0}};
    static const char *modes[] = {"sip-xmpp", "xmpp-sip", "sip-sip", "stanzas"};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) switch (option) {
        case 'm': {
            unsigned mode = 0;
            while (mode < 4 && strcmp(optarg, modes[mode])) mode++;
            if (mode == 4) fprintf(stderr, "--mode: sip-xmpp, xmpp-sip, sip-sip or stanzas\n"), exit(1);
            options.mode = (enum mode)mode;
            break;
        }
        case 't': options.tcp = !strcmp(optarg, "tcp"); break;
        case 'w': options.window = strtoul(optarg, NULL, 10); break;
        case 'r': options.rate = atof(optarg); break;
        case 'n': options.messages = strtoul(optarg, NULL, 10); break;
        case 'W': options.warm_up = strtoul(optarg, NULL, 10); break;
        case 's': options.seconds = atof(optarg); break;
        case 'p': options.patience = atof(optarg); break;
        case 'u': options.people = atoi(optarg); break;
        case 'b': options.body = atoi(optarg); break;
        case 'g': options.gateway_port = atoi(optarg); break;
        case 'l': options.sip_port = atoi(optarg); break;
        case 'c': options.component_port = atoi(optarg); break;
        case 'S': options.sip_domain = optarg; break;
        case 'X': options.xmpp_domain = optarg; break;
        case 'R': options.sip_to = optarg; break;
        case 'J': options.xmpp_to = optarg; break;
        default: fprintf(stderr, "see the head of main.c for what this does\n"), exit(1);
        }
    if (options.people < 1 || options.body < 20 || options.body > 1000 || (!options.window && options.rate <= 0))
        fprintf(stderr, "--people from 1, --body from 20 to 1000, --window or --rate above 0\n"), exit(1);
}

static void open_all(void) {
    switch (options.mode) {
    case SIP_TO_XMPP:
    case XMPP_TO_SIP:
        wire_listen(options.component_port, COMPONENT_LISTENER);
        if (options.tcp) wire_listen(options.sip_port, SIP_LISTENER);
        else wire_udp(options.sip_port);
        break;
    case SIP_TO_SIP:
        if (options.tcp) wire_listen(options.sip_port, SIP_LISTENER);
        else wire_udp(options.sip_port);
        break;
    case XMPP_RAW:
        wire_listen(options.sip_port, RAW_LISTENER);
        component = wire_connect(options.component_port, RAW);
        break;
    }
    if (options.mode == SIP_TO_XMPP || options.mode == SIP_TO_SIP) sip_templates();
    else xmpp_templates();
    flow_open();
    flow.needs_answer = options.mode == SIP_TO_XMPP || options.mode == SIP_TO_SIP;
    bool needs_component = options.mode != SIP_TO_SIP;
    uint64_t start = now_ns();
    while (needs_component && !xmpp_ready()) {
        if (now_ns() - start > READY_WITHIN_S * 1000000000ull) fprintf(stderr, "no component has logged in\n"), exit(3);
        wire_turn(50000);
    }
    sip_open();
    printf("ready\n");
    fflush(stdout);
    char line[4096];
    if (!fgets(line, sizeof line, stdin)) exit(5);
    for (char *pid = strtok(line, " \n"); pid; pid = strtok(NULL, " \n")) usage_add_pid(atoi(pid));
    for (start = now_ns(); now_ns() - start < 100000000;) wire_turn(20000);
}

static void send_next(uint64_t due) {
    struct template *template = flow_next(due);
    if (options.mode == SIP_TO_XMPP || options.mode == SIP_TO_SIP) sip_send(template);
    else xmpp_send(template);
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_latencies(const char *name, uint32_t *values, uint64_t count) {
    if (!count) return;
    qsort(values, count, sizeof *values, ascending);
    printf(", \"%s\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"max\": %.1f}", name, values[count / 2] / 10.0,
           values[count * 9 / 10] / 10.0, values[count * 99 / 100] / 10.0, values[count - 1] / 10.0);
}

static double own_s(void) {
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    return own.ru_utime.tv_sec + own.ru_stime.tv_sec + (own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    parse(argc, argv);
    run_id = (unsigned)((now_ns() / 1000 ^ (uint64_t)getpid() << 12) & 0xffffff) | 0x1000000;
    open_all();

    struct usage before = {0}, after = {0};
    bool resending = flow.needs_answer && !options.tcp && options.mode == SIP_TO_XMPP;
    uint64_t start = now_ns(), measured_from = 0, completed_before = 0, ended = 0, looked = start;
    uint64_t open_sent = 0;
    double own_before = 0, own_after = 0, limit_s = options.seconds + 15;
    long peak_kb = 0;
    bool whole = true;
    for (;;) {
        uint64_t now = now_ns();
        if (!flow.measuring && flow.completed >= options.warm_up) {
            usage_read(&before, true);
            own_before = own_s();
            completed_before = flow.completed;
            flow.measuring = true;
            measured_from = now = now_ns();
        }
        if (flow.measuring && (flow.completed - completed_before >= options.messages || (now - measured_from) / 1e9 >= options.seconds))
            break;
        if ((now - start) / 1e9 > limit_s || wire_closed) {
            whole = false;
            break;
        }
        int64_t wait_us = 100000;
        if (options.rate > 0) {
            uint64_t due = (uint64_t)((now - start) / 1e9 * options.rate);
            while (open_sent < due && flow_outstanding() < 50000) send_next(start + (uint64_t)(open_sent++ * 1e9 / options.rate));
            uint64_t next = start + (uint64_t)((open_sent + 1) * 1e9 / options.rate), again = now_ns();
            wait_us = next > again ? (int64_t)((next - again) / 1000) : 0;
        } else {
            while (flow_outstanding() < options.window) send_next(now);
        }
        wire_turn(wait_us);
        if ((now = now_ns()) - looked > 100000000) {
            looked = now;
            flow_expire(now, resending ? sip_send : NULL);
        }
    }
    ended = now_ns();
    usage_read(&after, true);
    own_after = own_s();
    peak_kb = after.memory_kb > before.memory_kb ? after.memory_kb : before.memory_kb;
    uint64_t completed = flow.completed - completed_before;
    double seconds = (ended - measured_from) / 1e9;
    flow.measuring = false;
    // What is still under way may arrive; only what then hasn't is lost.
    for (uint64_t drain = now_ns(); now_ns() - drain < DRAIN_S * 1000000000ull && flow.delivered + flow.refused < flow.sent;) {
        wire_turn(20000);
        flow_expire(now_ns(), resending ? sip_send : NULL);
    }
    if (!measured_from || !completed) {
        printf("{\"error\": \"the measurement did not begin\", \"sent\": %lu, \"delivered\": %lu, \"answered\": %lu, \"refused\": %lu}\n",
               flow.sent, flow.delivered, flow.answered, flow.refused);
        return 4;
    }
    double per = 1e6 / (double)completed;
    printf("{\"whole\": %s, \"bytes\": %d, \"messages\": %lu, \"seconds\": %.3f, \"per_second\": %.1f", whole ? "true" : "false",
           flow.templates[0].length, completed, seconds, completed / seconds);
    printf(", \"cpu_us\": %.2f, \"user_us\": %.2f, \"system_us\": %.2f, \"utilisation\": %.3f, \"generator_us\": %.2f, \"memory_kb\": %ld",
           (after.run_s - before.run_s) * per, (after.user_s - before.user_s) * per, (after.system_s - before.system_s) * per,
           (after.run_s - before.run_s) / seconds, (own_after - own_before) * per, peak_kb);
    printf(", \"switches\": %.3f", (double)(after.switches - before.switches) / (double)completed);
    print_latencies("delivery_us", flow.delivery_us_x10, flow.deliveries);
    print_latencies("answer_us", flow.answer_us_x10, flow.answers);
    uint64_t gone = flow.delivered + flow.refused;
    printf(", \"sent\": %lu, \"delivered\": %lu, \"answered\": %lu, \"refused\": %lu, \"lost\": %lu, \"duplicates\": %lu, \"late\": %lu, "
           "\"retransmitted\": %lu, \"repeats\": %lu, \"strays\": %lu, \"pings\": %lu, \"closed\": %d}\n",
           flow.sent, flow.delivered, flow.answered, flow.refused, flow.sent > gone ? flow.sent - gone : 0, flow.duplicates, flow.late,
           flow.retransmitted, flow.repeats, flow.strays, xmpp_pings, wire_closed);
    return 0;
}
