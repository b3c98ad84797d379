/* SPDX-License-Identifier: MIT */
/* What all groups use. */
#include "facts.h"

#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <stddef.h>
#include <sys/prctl.h>

void fact_begin(const char *question)
{
	printf("| %s | ", question);
}

void fact_end(void)
{
	printf(" |\n");
	fflush(stdout);
}

const char *err(long ret)
{
	static __thread char text[8][40];
	static __thread int at;
	char *to = text[at++ % 8];
	const char *name = ret < 0 ? strerrorname_np((int)-ret) : NULL;

	if (name)
		snprintf(to, 40, "-%s", name);
	else
		snprintf(to, 40, "%ld", ret);
	return to;
}

void must(bool ok, const char *what)
{
	if (ok)
		return;
	printf("| %s | cannot be had: %s |\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double twentieth(double *samples, int n)
{
	qsort(samples, (size_t)n, sizeof(*samples), by_size);
	return samples[n / 20];
}

double best(int samples, int n, void (*what)(void *arg, int i), void *arg)
{
	double took[samples];

	for (int s = 0; s < samples; s++) {
		took[s] = now();
		for (int i = 0; i < n; i++)
			what(arg, s * n + i);
		took[s] = (now() - took[s]) / n;
	}
	return twentieth(took, samples);
}

struct frames frames_make(unsigned long bytes)
{
	struct frames f = { .fd = memfd_create("frames", MFD_CLOEXEC), .bytes = bytes };

	must(f.fd >= 0 && !ftruncate(f.fd, (off_t)bytes), "memfd");
	f.base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, f.fd, 0);
	must(f.base != MAP_FAILED, "frames");
	madvise(f.base, bytes, MADV_DONTFORK);
	return f;
}

static int call(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) ? -errno : 0;
}

int uffd_make(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	must(fd >= 0 && !ioctl(fd, UFFDIO_API, &api), "userfaultfd");
	return fd;
}

static struct uffdio_range range_of(const void *at, unsigned long pages)
{
	return (struct uffdio_range){ (uintptr_t)at, pages * PAGE };
}

int reg(int fd, const void *at, unsigned long pages, uint64_t mode)
{
	struct uffdio_register arg = { range_of(at, pages), mode, 0 };

	return call(fd, UFFDIO_REGISTER, &arg);
}

int cont(int fd, const void *at, unsigned long pages, uint64_t mode)
{
	struct uffdio_continue arg = { range_of(at, pages), mode, 0 };

	return call(fd, UFFDIO_CONTINUE, &arg);
}

int zero(int fd, const void *at, unsigned long pages)
{
	struct uffdio_zeropage arg = { range_of(at, pages), 0, 0 };

	return call(fd, UFFDIO_ZEROPAGE, &arg);
}

int protect(int fd, const void *at, unsigned long pages, bool on)
{
	struct uffdio_writeprotect arg = { range_of(at, pages),
					   on ? UFFDIO_WRITEPROTECT_MODE_WP : 0 };

	return call(fd, UFFDIO_WRITEPROTECT, &arg);
}

int wake(int fd, const void *at, unsigned long pages)
{
	struct uffdio_range arg = range_of(at, pages);

	return call(fd, UFFDIO_WAKE, &arg);
}

int poison(int fd, const void *at)
{
	struct uffdio_poison arg = { range_of(at, 1), 0, 0 };

	return call(fd, UFFDIO_POISON, &arg);
}

bool next_message(int fd, struct uffd_msg *msg, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1 && read(fd, msg, sizeof(*msg)) == sizeof(*msg);
}

int filter(unsigned int nr, unsigned int answer)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };
	unsigned long flags = 0;

	/* Bit 5: once the question was read, the caller can only be killed. */
	if (answer == SECCOMP_RET_USER_NOTIF)
		flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | 1UL << 5;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

long proc_number(const char *path, const char *key)
{
	const size_t length = strlen(key);
	char line[200];
	long number = 0;
	FILE *in = fopen(path, "r");

	while (in && fgets(line, sizeof(line), in))
		if (!strncmp(line, key, length) && line[length] == ':')
			number = strtol(line + length + 1, NULL, 10);
	if (in)
		fclose(in);
	return number;
}

double forks(int n)
{
	double took[n];

	for (int i = 0; i < n; i++) {
		pid_t pid;

		took[i] = now();
		pid = fork();
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
		took[i] = now() - took[i];
	}
	return twentieth(took, n);
}

/* words ------------------------------------------------------------------------------ */

void word_wait(unsigned int *word, unsigned int until)
{
	unsigned int seen;

	while ((seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) < until)
		syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

void word_set(unsigned int *word, unsigned int to)
{
	__atomic_store_n(word, to, __ATOMIC_RELEASE);
	syscall(SYS_futex, word, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

/* guests ----------------------------------------------------------------------------- */

int fd_of(struct guest *g, int fd)
{
	return (int)syscall(SYS_pidfd_getfd, g->pidfd, fd, 0);
}

struct guest guest_start(void (*body)(struct guest *), unsigned long pages, uint64_t modes,
			 uint64_t features)
{
	struct guest g = { .uffd = -1 };
	char *window = mmap(NULL, pages * PAGE + 2 * BLOCK, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	g.ram = frames_make(pages * PAGE * 2 + BLOCK);
	g.at = (char *)(((uintptr_t)window + BLOCK) & ~(BLOCK - 1));
	g.c = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	g.pid = fork();
	if (!g.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin();
		mmap(g.at, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, g.ram.fd,
		     0);
		if (modes) {
			g.uffd = uffd_make(features);
			g.c->ret = reg(g.uffd, g.at, pages, modes);
			g.c->arg[0] = g.uffd;
		}
		word_set(&g.c->done, 1);
		word_wait(&g.c->go, 1);
		body(&g);
		_exit(0);
	}
	g.pidfd = (int)syscall(SYS_pidfd_open, g.pid, 0);
	word_wait(&g.c->done, 1);
	if (modes) {
		errno = (int)-g.c->ret;
		must(!g.c->ret, "register");
		g.uffd = fd_of(&g, (int)g.c->arg[0]);
		must(g.uffd >= 0, "pidfd_getfd");
	}
	g.c->done = 0;
	word_set(&g.c->go, 1);
	return g;
}

void guest_end(struct guest *g)
{
	kill(g->pid, SIGKILL);
	waitpid(g->pid, NULL, 0);
	close(g->pidfd);
	if (g->uffd >= 0)
		close(g->uffd);
	munmap(g->ram.base, g->ram.bytes);
	close(g->ram.fd);
}

/* touches ---------------------------------------------------------------------------- */

static sigjmp_buf back;
static struct control *told;

static void caught(int sig, siginfo_t *info, void *context)
{
	(void)context;
	told->sig = sig;
	told->code = info->si_code;
	told->sigaddr = info->si_addr;
	siglongjmp(back, 1);
}

int touch(struct guest *g, volatile char *at, bool write)
{
	struct sigaction act = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO | SA_NODEFER };

	told = g->c;
	g->c->sig = 0;
	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
	if (!sigsetjmp(back, 1)) {
		if (write)
			*at = 'w';
		else
			(void)*at;
	}
	return g->c->sig;
}
