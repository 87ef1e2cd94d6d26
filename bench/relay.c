// The floor: a relay that copies bytes and understands nothing.
//
//   relay udp LISTEN TARGET    datagrams to TARGET, and its answers back to whoever sent last
//   relay tcp LISTEN TARGET    each connection to a connection of its own to TARGET, both ways
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static char bytes[256 * 1024];

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int opened(int type) {
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1, room = 16 << 20;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    return fd;
}

static void watch(int epoll_fd, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int relay_datagrams(int front, struct sockaddr_in target) {
    int back = opened(SOCK_DGRAM), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (connect(back, (struct sockaddr *)&target, sizeof target)) return 1;
    struct sockaddr_in from = {0};
    watch(epoll_fd, front);
    watch(epoll_fd, back);
    for (;;) {
        struct epoll_event events[2];
        int ready = epoll_wait(epoll_fd, events, 2, -1);
        for (int i = 0; i < ready; i++) {
            ssize_t got;
            socklen_t size = sizeof from;
            if (events[i].data.fd == front)
                while ((got = recvfrom(front, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&from, &size)) > 0)
                    send(back, bytes, (size_t)got, 0);
            else
                while ((got = recv(back, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
                    sendto(front, bytes, (size_t)got, 0, (struct sockaddr *)&from, sizeof from);
        }
    }
}

static int relay_streams(int front, struct sockaddr_in target) {
    static int other[4096];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), on = 1;
    if (listen(front, 16)) return 1;
    watch(epoll_fd, front);
    for (;;) {
        struct epoll_event events[64];
        int ready = epoll_wait(epoll_fd, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == front) {
                int near = accept4(front, NULL, NULL, SOCK_CLOEXEC), far = opened(SOCK_STREAM);
                if (near < 0 || near > 4095 || far > 4095 || connect(far, (struct sockaddr *)&target, sizeof target)) return 1;
                setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                other[near] = far;
                other[far] = near;
                watch(epoll_fd, near);
                watch(epoll_fd, far);
                continue;
            }
            ssize_t got = recv(fd, bytes, sizeof bytes, 0);
            if (got <= 0) {
                if (other[fd]) close(other[fd]), other[other[fd]] = 0;
                other[fd] = 0;
                close(fd);
                continue;
            }
            for (ssize_t sent = 0, now; sent < got; sent += now)
                if ((now = send(other[fd], bytes + sent, (size_t)(got - sent), MSG_NOSIGNAL)) < 0) break;
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 4 || (strcmp(argv[1], "udp") && strcmp(argv[1], "tcp"))) return fprintf(stderr, "relay udp|tcp LISTEN TARGET\n"), 1;
    int udp = !strcmp(argv[1], "udp"), front = opened(udp ? SOCK_DGRAM : SOCK_STREAM);
    struct sockaddr_in address = loopback(atoi(argv[2])), target = loopback(atoi(argv[3]));
    if (bind(front, (struct sockaddr *)&address, sizeof address)) return perror("bind"), 1;
    return udp ? relay_datagrams(front, target) : relay_streams(front, target);
}
