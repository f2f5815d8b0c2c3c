// delaylink NETNS_A NETNS_B RTT_MS: one tun device ("fbtun") in each named namespace, joined by a fixed one-way
// delay of RTT/2. Segmentation offload is passed through, so a TCP super-packet costs one read and one write.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
struct pkt { struct pkt *next; long long due; int len; char data[]; };
static struct pkt *head[2], *tail[2];
static long long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000LL + t.tv_nsec; }
static int opentun(const char *ns) {
  int n = open(ns, O_RDONLY); if (n < 0 || setns(n, CLONE_NEWNET)) { perror(ns); exit(1); } close(n);
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK); struct ifreq r; memset(&r, 0, sizeof r);
  strcpy(r.ifr_name, "fbtun"); r.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if (fd < 0 || ioctl(fd, TUNSETIFF, &r)) { perror("tun"); exit(1); }
  if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)) perror("offload");
  return fd;
}
int main(int c, char **v) {
  if (c < 4) return 2;
  int fd[2]; fd[0] = opentun(v[1]); fd[1] = opentun(v[2]);
  long long d = (long long)(atof(v[3]) * 1e6 / 2); static char buf[70000];
  for (;;) {
    struct pollfd p[2] = {{fd[0], POLLIN, 0}, {fd[1], POLLIN, 0}};
    long long t = now(), nx = -1;
    for (int i = 0; i < 2; i++) if (head[i] && (nx < 0 || head[i]->due < nx)) nx = head[i]->due;
    struct timespec ts, *tp = 0;
    if (nx >= 0) { long long w = nx > t ? nx - t : 0; ts.tv_sec = w / 1000000000LL; ts.tv_nsec = w % 1000000000LL; tp = &ts; }
    ppoll(p, 2, tp, 0);
    for (int i = 0; i < 2; i++) if (p[i].revents & POLLIN) for (int k = 0; k < 64; k++) {
      int n = read(fd[i], buf, sizeof buf); if (n <= 0) break;
      struct pkt *q = malloc(sizeof *q + n); q->next = 0; q->due = now() + d; q->len = n; memcpy(q->data, buf, n);
      if (tail[i]) tail[i]->next = q; else head[i] = q; tail[i] = q;
    }
    t = now();
    for (int i = 0; i < 2; i++) while (head[i] && head[i]->due <= t) {
      struct pkt *q = head[i];
      if (write(fd[!i], q->data, q->len) < 0 && errno == EAGAIN) break;
      head[i] = q->next; if (!head[i]) tail[i] = 0; free(q);
    }
  }
}
