// Sockets and buffers: datagrams in batches of 64, streams with one buffer each way, one epoll for all.
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define DATAGRAM 4096
#define IN_ROOM (1u << 20)
#define MOST 64

static int epoll_fd = -1;
static struct connection *all[MOST];
static int count;
static struct connection *udp;
int wire_closed;

static struct mmsghdr out_messages[BATCH];
static struct iovec out_vectors[BATCH];
static struct sockaddr_in out_addresses[BATCH];
static char out_bytes[BATCH][DATAGRAM];
static int out_count;

struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static struct connection *add(int fd, enum kind kind) {
    if (count == MOST) fail("too many connections");
    if (epoll_fd < 0) epoll_fd = epoll_create1(0);
    struct connection *connection = calloc(1, sizeof *connection);
    connection->fd = fd;
    connection->kind = kind;
    if (kind == SIP_STREAM || kind == COMPONENT || kind == RAW) {
        connection->in = malloc(IN_ROOM);
        connection->out = malloc(connection->out_room = IN_ROOM);
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    return all[count++] = connection;
}

static int bound(int type, int port) {
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1, room = 16 << 20;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room)) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room)) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    struct sockaddr_in address = loopback(port);
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) fail("bind");
    return fd;
}

struct connection *wire_udp(int port) { return udp = add(bound(SOCK_DGRAM, port), UDP); }

struct connection *wire_listen(int port, enum kind kind) {
    int fd = bound(SOCK_STREAM, port);
    if (listen(fd, 16)) fail("listen");
    return add(fd, kind);
}

struct connection *wire_connect(int port, enum kind kind) {
    struct sockaddr_in address = loopback(port);
    for (int attempt = 0; attempt < 100; attempt++, usleep(50000)) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (!connect(fd, (struct sockaddr *)&address, sizeof address)) return add(fd, kind);
        close(fd);
    }
    fail("connect");
}

static void interest(struct connection *connection, bool blocked) {
    if (connection->blocked == blocked) return;
    connection->blocked = blocked;
    struct epoll_event event = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = connection};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

static void drop(struct connection *connection) {
    wire_closed++;
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, connection->fd, NULL);
    close(connection->fd);
    connection->fd = -1;
    if (component == connection) component = NULL;
}

static void flush_stream(struct connection *connection) {
    while (connection->out_sent < connection->out_length) {
        ssize_t sent = send(connection->fd, connection->out + connection->out_sent,
                            connection->out_length - connection->out_sent, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN) interest(connection, true);
            else drop(connection);
            return;
        }
        connection->out_sent += (size_t)sent;
    }
    connection->out_sent = connection->out_length = 0;
    interest(connection, false);
}

void wire_put(struct connection *connection, const char *bytes, size_t length) {
    while (connection->out_length + length > connection->out_room)
        connection->out = realloc(connection->out, connection->out_room *= 2);
    memcpy(connection->out + connection->out_length, bytes, length);
    connection->out_length += length;
}

static void flush_datagrams(void) {
    for (int done = 0; done < out_count;) {
        int sent = sendmmsg(udp->fd, out_messages + done, (unsigned)(out_count - done), 0);
        if (sent < 0 && errno != EAGAIN && errno != ECONNREFUSED && errno != EINTR) fail("sendmmsg");
        if (sent > 0) done += sent;
    }
    out_count = 0;
}

void wire_send_datagram(const char *bytes, size_t length, const struct sockaddr_in *to) {
    if (length > DATAGRAM) fail("a datagram is too long");
    memcpy(out_bytes[out_count], bytes, length);
    out_vectors[out_count] = (struct iovec){out_bytes[out_count], length};
    out_addresses[out_count] = *to;
    out_messages[out_count].msg_hdr = (struct msghdr){.msg_name = &out_addresses[out_count],
                                                      .msg_namelen = sizeof *to,
                                                      .msg_iov = &out_vectors[out_count],
                                                      .msg_iovlen = 1};
    if (++out_count == BATCH) flush_datagrams();
}

void wire_flush(void) {
    if (out_count) flush_datagrams();
    for (int i = 0; i < count; i++)
        if (all[i]->fd >= 0 && all[i]->out_length && !all[i]->blocked) flush_stream(all[i]);
}

static void read_datagrams(struct connection *connection) {
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    static struct sockaddr_in addresses[BATCH];
    static char bytes[BATCH][DATAGRAM * 2];
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){bytes[i], sizeof bytes[i] - 1};
            messages[i].msg_hdr = (struct msghdr){
                .msg_name = &addresses[i], .msg_namelen = sizeof addresses[i], .msg_iov = &vectors[i], .msg_iovlen = 1};
        }
        int got = recvmmsg(connection->fd, messages, BATCH, MSG_DONTWAIT, NULL);
        if (got <= 0) return;
        uint64_t now = now_ns();
        for (int i = 0; i < got; i++) sip_message(connection, bytes[i], (int)messages[i].msg_len, &addresses[i], now);
        if (got < BATCH) return;
    }
}

static void read_stream(struct connection *connection) {
    if (connection->in_length == IN_ROOM - 1) fail("a stanza or request without an end");
    ssize_t got = recv(connection->fd, connection->in + connection->in_length, IN_ROOM - 1 - connection->in_length, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN) return;
        drop(connection);
        return;
    }
    connection->in_length += (size_t)got;
    uint64_t now = now_ns();
    // Acknowledge at once: a peer that leaves Nagle's algorithm on (as Kamailio does) would wait 40 ms for us.
    int on = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    size_t used = connection->kind == SIP_STREAM  ? sip_stream(connection, now)
                  : connection->kind == COMPONENT ? xmpp_stream(connection, now)
                                                  : xmpp_raw(connection, now);
    memmove(connection->in, connection->in + used, connection->in_length -= used);
}

static void read_one(struct connection *connection) {
    static const enum kind accepted[] = {[SIP_LISTENER] = SIP_STREAM, [COMPONENT_LISTENER] = COMPONENT, [RAW_LISTENER] = RAW};
    switch (connection->kind) {
    case UDP: read_datagrams(connection); break;
    case SIP_LISTENER:
    case COMPONENT_LISTENER:
    case RAW_LISTENER: {
        int fd = accept4(connection->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) add(fd, accepted[connection->kind]);
        break;
    }
    default: read_stream(connection);
    }
}

void wire_turn(int64_t wait_us) {
    struct epoll_event events[MOST];
    struct timespec wait = {wait_us / 1000000, wait_us % 1000000 * 1000};
    wire_flush();
    int ready = epoll_pwait2(epoll_fd, events, MOST, &wait, NULL);
    for (int i = 0; i < ready; i++) {
        struct connection *connection = events[i].data.ptr;
        if (events[i].events & EPOLLOUT) flush_stream(connection);
        if (connection->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_one(connection);
    }
    wire_flush();
}
