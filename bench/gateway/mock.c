/* mock: a fast OpenAI-compatible upstream for gateway benchmarks. Linux, epoll, one thread, loopback only.
 *
 *   mock PORT
 *
 * POST .../chat/completions, GET .../models, GET /health. What it does is said inside the request's text, so that it
 * passes through any gateway: the first "@@name=value,name=value@@" of the body. Names:
 *   chunks=N    chunks of a stream (64)        delay=MS  between two chunks (0)
 *   lat=MS      before the first byte (0)      size=N    bytes of a unary answer's text (700)
 *   err=STATUS  that status                    err=hang  never answer
 *   err=cut     end the connection half way    err=cuthead  end it before any byte
 * Every chunk carries "@t<monotonic ns>;", from which a client on this machine knows the chunk's age.
 * A stream without delay stops making chunks while its reader does not read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define UNREAD_BYTES (256 * 1024) /* how much may wait for a slow reader */
#define READ_BYTES 8192

struct buffer {
    char *data;
    size_t length, sent, room;
};

struct connection {
    int fd, place; /* in the heap of timers; -1 = in none */
    int answering, streaming, said_role, cut, wants_usage, closes, waits_for_room, size;
    long left, chunks;
    uint64_t delay_ns, due_at;
    struct buffer in, out;
};

static int poller;
static struct connection **timers;
static int timer_count, timer_room;
static unsigned long request_count, stream_count, chunk_count;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* --- timers: a binary heap by due_at ------------------------------------------------------------------------------ */

static void swap_timers(int a, int b) {
    struct connection *kept = timers[a];
    timers[a] = timers[b];
    timers[b] = kept;
    timers[a]->place = a;
    timers[b]->place = b;
}

static void settle(int i) {
    for (int parent; i > 0 && timers[parent = (i - 1) / 2]->due_at > timers[i]->due_at; i = parent)
        swap_timers(parent, i);
    for (;;) {
        int first = i;
        for (int child = 2 * i + 1; child <= 2 * i + 2 && child < timer_count; child++)
            if (timers[child]->due_at < timers[first]->due_at)
                first = child;
        if (first == i)
            return;
        swap_timers(first, i);
        i = first;
    }
}

static void set_timer(struct connection *c) {
    if (timer_count == timer_room) {
        timer_room = timer_room ? timer_room * 2 : 1024;
        timers = realloc(timers, timer_room * sizeof *timers);
    }
    timers[c->place = timer_count++] = c;
    settle(c->place);
}

static void clear_timer(struct connection *c) {
    int place = c->place;
    if (place < 0)
        return;
    c->place = -1;
    if (place != --timer_count) {
        timers[place] = timers[timer_count];
        timers[place]->place = place;
        settle(place);
    }
}

/* --- writing. Everything that returns int: 0 = go on, -1 = end the connection -------------------------------------- */

static void make_room(struct buffer *b, size_t more) {
    if (b->length + more > b->room) {
        b->room = (b->length + more) * 2;
        b->data = realloc(b->data, b->room);
    }
}

static void put(struct connection *c, const char *data, size_t length) {
    make_room(&c->out, length);
    memcpy(c->out.data + c->out.length, data, length);
    c->out.length += length;
}

static void watch(struct connection *c, int for_room, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (for_room ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &event);
    c->waits_for_room = for_room;
}

static int flush(struct connection *c) {
    while (c->out.sent < c->out.length) {
        ssize_t n = send(c->fd, c->out.data + c->out.sent, c->out.length - c->out.sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN && !c->waits_for_room)
                watch(c, 1, EPOLL_CTL_MOD);
            return errno == EAGAIN ? 0 : -1;
        }
        c->out.sent += n;
    }
    c->out.sent = c->out.length = 0;
    if (c->waits_for_room)
        watch(c, 0, EPOLL_CTL_MOD);
    return 0;
}

static void put_chunk(struct connection *c, const char *data, size_t length) {
    char size[16];
    put(c, size, snprintf(size, sizeof size, "%zx\r\n", length));
    put(c, data, length);
    put(c, "\r\n", 2);
}

static int put_answer(struct connection *c, int status, const char *body, size_t length) {
    char header[512];
    put(c, header,
        snprintf(header, sizeof header,
                 "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nx-request-id: req_mock\r\n"
                 "%s%s\r\n",
                 status, status == 200 ? "OK" : "Mock", length, status == 429 ? "Retry-After: 1\r\n" : "",
                 c->closes ? "Connection: close\r\n" : ""));
    put(c, body, c->cut ? length / 2 : length);
    c->answering = 0;
    return flush(c) < 0 || c->cut ? -1 : 0;
}

#define EVENT                                                                                                          \
    "data: {\"id\":\"chatcmpl-mock0001\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"                 \
    "\"model\":\"mock\",\"system_fingerprint\":\"fp_mock\",\"choices\":["

static int put_unary(struct connection *c) {
    static const char words[] =
        "The quick brown fox jumps over the lazy dog while a patient reader counts the words of this answer. ";
    char text[65536], body[70000];
    for (int i = 0; i < c->size; i++)
        text[i] = words[i % (sizeof words - 1)];
    text[c->size] = 0;
    int length = snprintf(
        body, sizeof body,
        "{\"id\":\"chatcmpl-mock0001\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"mock\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},"
        "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":42,\"completion_tokens\":170,"
        "\"total_tokens\":212,\"prompt_tokens_details\":{\"cached_tokens\":0}},\"system_fingerprint\":\"fp_mock\"}",
        text);
    return put_answer(c, 200, body, length);
}

static void put_event(struct connection *c, const char *choices, const char *rest) {
    char event[1024];
    put_chunk(c, event, snprintf(event, sizeof event, EVENT "%s]%s}\n\n", choices, rest));
}

/* The next chunks of a stream: one, or without a delay as many as the reader takes. */
static int go_on(struct connection *c) {
    static const char header[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                                 "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\nx-request-id: req_mock\r\n\r\n";
    char text[256];
    if (!c->streaming)
        return put_unary(c);
    if (!c->said_role) {
        put(c, header, sizeof header - 1);
        put_event(c, "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}", "");
        c->said_role = 1;
    }
    for (; c->left; c->left--) {
        if (c->cut && c->left <= c->chunks / 2)
            return flush(c), -1;
        if (c->out.length - c->out.sent > UNREAD_BYTES && !c->delay_ns)
            return 0; /* until there is room */
        snprintf(text, sizeof text, "{\"index\":0,\"delta\":{\"content\":\"word @t%llu; \"},\"finish_reason\":null}",
                 (unsigned long long)now_ns());
        put_event(c, text, "");
        chunk_count++;
        if (flush(c) < 0)
            return -1;
        if (c->delay_ns) {
            c->left--;
            c->due_at += c->delay_ns;
            set_timer(c);
            return 0;
        }
    }
    put_event(c, "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}", "");
    if (c->wants_usage) {
        snprintf(text, sizeof text, ",\"usage\":{\"prompt_tokens\":42,\"completion_tokens\":%ld,\"total_tokens\":%ld}",
                 c->chunks, c->chunks + 42);
        put_event(c, "", text);
    }
    put_chunk(c, "data: [DONE]\n\n", strlen("data: [DONE]\n\n"));
    put(c, "0\r\n\r\n", 5);
    c->answering = 0;
    return flush(c);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static long number(const char *text, const char *name, long otherwise) {
    const char *at = strstr(text, name);
    return at ? atol(at + strlen(name)) : otherwise;
}

static int says(const char *body, size_t length, const char *tight, const char *loose) {
    return memmem(body, length, tight, strlen(tight)) || memmem(body, length, loose, strlen(loose));
}

static int ends_with(const char *path, size_t length, const char *end) {
    size_t size = strlen(end);
    return length >= size && !memcmp(path + length - size, end, size);
}

static int fail(struct connection *c, const char *how) {
    char body[256];
    if (!strncmp(how, "hang", 4))
        return 0;
    if (!strncmp(how, "cuthead", 7))
        return -1;
    int status = atoi(how);
    const char *type = status == 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error";
    int length =
        snprintf(body, sizeof body,
                 "{\"error\":{\"message\":\"mock error %d\",\"type\":\"%s\",\"param\":null,\"code\":\"%d\"}}", status, type, status);
    return put_answer(c, status, body, length);
}

static int begin_chat(struct connection *c, const char *body, size_t length) {
    char told[256] = "";
    const char *from = memmem(body, length, "@@", 2);
    const char *to = from ? memmem(from + 2, length - (from + 2 - body), "@@", 2) : 0;
    if (to && to - from - 2 < (long)sizeof told)
        memcpy(told, from + 2, to - from - 2);
    const char *failure = strstr(told, "err=");
    c->chunks = c->left = number(told, "chunks=", 64);
    c->delay_ns = number(told, "delay=", 0) * 1000000ull;
    c->size = number(told, "size=", 700);
    c->size = c->size < 0 ? 0 : c->size > 60000 ? 60000 : c->size;
    c->cut = failure && !strncmp(failure, "err=cut", 7) && strncmp(failure, "err=cuthead", 11);
    if (failure && !c->cut)
        return fail(c, failure + 4);
    c->streaming = says(body, length, "\"stream\":true", "\"stream\": true");
    c->wants_usage = says(body, length, "\"include_usage\":true", "\"include_usage\": true");
    stream_count += c->streaming;
    c->due_at = now_ns();
    uint64_t wait_ns = number(told, "lat=", 0) * 1000000ull;
    if (!wait_ns)
        return go_on(c);
    c->due_at += wait_ns;
    set_timer(c);
    return 0;
}

static int begin(struct connection *c, const char *header, const char *body, size_t length) {
    static const char models[] = "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\","
                                 "\"created\":1700000000,\"owned_by\":\"mock\"}]}";
    static const char unknown[] =
        "{\"error\":{\"message\":\"not found\",\"type\":\"invalid_request_error\",\"code\":\"404\"}}";
    char counts[128];
    const char *path = header + strcspn(header, " ") + 1;
    size_t size = strcspn(path, " ?\r");
    request_count++;
    c->answering = 1;
    c->streaming = c->said_role = c->cut = c->wants_usage = 0;
    c->closes = strcasestr(header, "\r\nconnection: close") != 0;
    if (ends_with(path, size, "/chat/completions"))
        return begin_chat(c, body, length);
    if (ends_with(path, size, "/models"))
        return put_answer(c, 200, models, sizeof models - 1);
    if (ends_with(path, size, "/health"))
        return put_answer(c, 200, counts,
                          snprintf(counts, sizeof counts, "{\"ok\":true,\"requests\":%lu,\"streams\":%lu,\"chunks\":%lu}",
                                   request_count, stream_count, chunk_count));
    return put_answer(c, 404, unknown, sizeof unknown - 1);
}

/* Takes a chunked body together, in place. Its length; `used` is how many bytes it took. -1: not all here yet. */
static long join_chunks(char *data, size_t length, size_t *used) {
    size_t at = 0;
    for (long joined = 0;;) {
        char *line = memmem(data + at, length - at, "\r\n", 2);
        if (!line)
            return -1;
        size_t size = strtoul(data + at, 0, 16);
        at = line - data + 2;
        if (length < at + size + 2)
            return -1;
        joined += size;
        at += size + 2;
        if (size)
            continue;
        *used = at;
        char *to = data;
        for (char *from = data; (size = strtoul(from, 0, 16));) {
            from = strstr(from, "\r\n") + 2;
            memmove(to, from, size);
            to += size;
            from += size + 2;
        }
        return joined;
    }
}

/* Begins what has come in whole. */
static int take_requests(struct connection *c) {
    while (!c->answering && c->in.length) {
        make_room(&c->in, 1);
        c->in.data[c->in.length] = 0;
        char *end = strstr(c->in.data, "\r\n\r\n");
        if (!end)
            return 0;
        end[2] = 0; /* so that nothing is looked for in the body */
        char *body = end + 4, *size = strcasestr(c->in.data, "\r\ncontent-length:");
        size_t there = c->in.length - (body - c->in.data), used = 0;
        long length = 0;
        if (strcasestr(c->in.data, "\r\ntransfer-encoding: chunked"))
            length = join_chunks(body, there, &used);
        else if (size)
            length = used = strtoul(size + strlen("\r\ncontent-length:"), 0, 10);
        if (length < 0 || there < used) {
            end[2] = '\r';
            return 0;
        }
        if (begin(c, c->in.data, body, length) < 0)
            return -1;
        c->in.length = there - used;
        memmove(c->in.data, body + used, c->in.length);
        if (c->closes && !c->answering && !c->out.length)
            return -1;
    }
    return 0;
}

static int receive(struct connection *c) {
    for (;;) {
        make_room(&c->in, READ_BYTES + 1);
        ssize_t n = recv(c->fd, c->in.data + c->in.length, READ_BYTES, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return -1;
        if (n < 0)
            return take_requests(c);
        c->in.length += n;
        if (n < READ_BYTES)
            return take_requests(c);
    }
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static void accept_all(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->fd = fd;
        c->place = -1;
        watch(c, 0, EPOLL_CTL_ADD);
    }
}

static void end(struct connection *c) {
    clear_timer(c);
    close(c->fd);
    free(c->in.data);
    free(c->out.data);
    free(c);
}

static int serve(struct connection *c, uint32_t events) {
    if (events & EPOLLOUT) {
        if (flush(c) < 0)
            return -1;
        if (c->answering && c->streaming && c->said_role && !c->delay_ns && !c->out.length && go_on(c) < 0)
            return -1;
    }
    return events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? receive(c) : take_requests(c);
}

int main(int argc, char **argv) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 9100)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096)) {
        perror("mock");
        return 1;
    }
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[512];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        uint64_t now = now_ns();
        int wait_ms = -1;
        if (timer_count)
            wait_ms = timers[0]->due_at <= now ? 0 : (timers[0]->due_at - now + 999999) / 1000000;
        int ready = epoll_wait(poller, events, 512, wait_ms);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c)
                accept_all(listener);
            else if (serve(c, events[i].events) < 0)
                end(c);
        }
        now = now_ns(); /* timers after events, so that no event is of a connection that a timer ended */
        while (timer_count && timers[0]->due_at <= now) {
            struct connection *c = timers[0];
            clear_timer(c);
            if (go_on(c) < 0 || take_requests(c) < 0)
                end(c);
        }
    }
}
