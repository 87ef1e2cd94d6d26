// Which messages are under way, and what became of each: the only book-keeping of the generator.
//
// Every message has a number. It stands behind a MARK in the body (and in ids), so that it is found again on the
// far side whatever was made of the rest. Flags of the newest RING numbers are kept: a second delivery of a number
// is a duplicate, however late it comes.
#include "load.h"

#include <stdlib.h>
#include <string.h>

#define RING (1u << 20)
#define SLOT(number) ((number) & (RING - 1))
enum { DELIVERED = 1, ANSWERED = 2, DONE = 4 };

struct flow flow;
static uint64_t sent_ns[RING];
static uint8_t flags[RING], resends[RING];
static uint32_t copies[RING];

void flow_open(void) {
    flow.next = flow.tail = 1;
    flow.capacity = 2 * (options.messages + options.warm_up) + RING;
    flow.delivery_us_x10 = malloc(flow.capacity * sizeof(uint32_t));
    flow.answer_us_x10 = malloc(flow.capacity * sizeof(uint32_t));
}

uint64_t flow_outstanding(void) { return flow.sent - flow.completed; }

static void number_write(struct template *template, uint64_t number) {
    for (int i = 0; i < template->count; i++) {
        uint64_t rest = number;
        for (int digit = DIGITS - 1; digit >= 0; digit--, rest /= 10)
            template->bytes[template->place[i] + digit] = (char)('0' + rest % 10);
    }
}

struct template *flow_next(uint64_t due_ns) {
    uint64_t number = flow.next++;
    struct template *template = &flow.templates[number % options.people];
    number_write(template, number);
    flags[SLOT(number)] = resends[SLOT(number)] = 0;
    sent_ns[SLOT(number)] = due_ns;
    flow.sent++;
    return template;
}

static bool known(int64_t number) {
    if (number > 0 && (uint64_t)number < flow.next && flow.next - number < RING) return true;
    flow.strays++;
    return false;
}

static void finish(uint64_t number) {
    flags[SLOT(number)] |= DONE;
    flow.completed++;
    while (flow.tail < flow.next && flags[SLOT(flow.tail)] & DONE) flow.tail++;
}

static void record(uint32_t *into, uint64_t *count, uint64_t number, uint64_t now) {
    if (!flow.measuring || *count >= flow.capacity) return;
    uint64_t tenths = (now - sent_ns[SLOT(number)]) / 100;
    into[(*count)++] = tenths > UINT32_MAX ? UINT32_MAX : (uint32_t)tenths;
}

void flow_delivered(int64_t number, uint32_t copy, uint64_t now) {
    if (!known(number)) return;
    uint8_t *flag = &flags[SLOT(number)];
    if (*flag & DELIVERED) {
        // The same transaction again is a retransmission, which every phone absorbs (RFC 3261 section 17.2.2).
        if (copy && copies[SLOT(number)] == copy) flow.repeats++;
        else flow.duplicates++;
        return;
    }
    *flag |= DELIVERED;
    copies[SLOT(number)] = copy;
    flow.delivered++;
    record(flow.delivery_us_x10, &flow.deliveries, number, now);
    if (!(*flag & DONE) && (!flow.needs_answer || *flag & ANSWERED)) finish(number);
}

void flow_answered(int64_t number, uint64_t now) {
    if (!known(number)) return;
    uint8_t *flag = &flags[SLOT(number)];
    if (*flag & ANSWERED) return;  // the answer to a retransmission
    *flag |= ANSWERED;
    flow.answered++;
    record(flow.answer_us_x10, &flow.answers, number, now);
    if (!(*flag & DONE) && *flag & DELIVERED) finish(number);
}

void flow_refused(int64_t number) {
    flow.refused++;
    if (!known(number)) return;
    if (!(flags[SLOT(number)] & DONE)) finish(number);
}

void flow_expire(uint64_t now, void (*resend)(struct template *)) {
    for (uint64_t number = flow.tail; number < flow.next; number++) {
        if (flags[SLOT(number)] & DONE) continue;
        double age_s = (now - sent_ns[SLOT(number)]) / 1e9;
        if (age_s > options.patience) {
            flow.late++;
            finish(number);
        } else if (resend && !(flags[SLOT(number)] & ANSWERED)) {
            // RFC 3261 section 17.1.2.2: after 0.5 s, then after twice as long each time.
            int times = resends[SLOT(number)];
            if (times > 5 || age_s < 0.5 * ((2 << times) - 1)) continue;
            struct template *template = &flow.templates[number % options.people];
            number_write(template, number);
            resends[SLOT(number)]++;
            flow.retransmitted++;
            resend(template);
        }
    }
}

int64_t flow_number(const char *bytes, size_t length) {
    const char *mark = memmem(bytes, length, MARK, MARK_LENGTH);
    if (!mark || mark + MARK_LENGTH + DIGITS > bytes + length) return -1;
    int64_t number = 0;
    for (int i = 0; i < DIGITS; i++) {
        char digit = mark[MARK_LENGTH + i];
        if (digit < '0' || digit > '9') return -1;
        number = number * 10 + (digit - '0');
    }
    return number;
}

void template_make(struct template *template, const char *text) {
    template->length = (int)strlen(text);
    template->bytes = strdup(text);
    template->count = 0;
    for (char *at = template->bytes; (at = strstr(at, MARK)) && template->count < 4; at += MARK_LENGTH)
        template->place[template->count++] = (int)(at + MARK_LENGTH - template->bytes);
}

void body_make(char *out, int length) {
    static const char text[] = "Shall we meet at three o'clock on the bridge? Bring the list of prices & the two letters, "
                               "and tell the others that the boat leaves on time. ";
    int used = 0;
    memcpy(out, MARK "0000000000 ", MARK_LENGTH + DIGITS + 1);
    used = MARK_LENGTH + DIGITS + 1;
    for (int i = 0; used < length; i++) out[used++] = text[i % (sizeof text - 1)];
    out[used] = 0;
}
