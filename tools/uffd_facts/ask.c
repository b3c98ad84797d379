/* SPDX-License-Identifier: MIT */
/* What all groups use. */
#include "facts.h"

#include <poll.h>
#include <sys/syscall.h>

void fact_begin(const char *question)
{
	printf("| %s | ", question);
}

void fact_end(void)
{
	printf(" |\n");
	fflush(stdout);
}

void fact(const char *question, const char *answer)
{
	FACT(question, P("%s", answer));
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

static int call(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) ? -errno : 0;
}

int uffd_raw(int flags)
{
	const long fd = syscall(SYS_userfaultfd, flags);

	return fd < 0 ? -errno : (int)fd;
}

int api(int fd, uint64_t features, struct uffdio_api *out)
{
	struct uffdio_api arg = { .api = UFFD_API, .features = features };
	int ret = call(fd, UFFDIO_API, &arg);

	if (out)
		*out = arg;
	return ret;
}

int uffd(uint64_t features)
{
	int fd = uffd_raw(O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || api(fd, features, NULL)) {
		fact("userfaultfd", "cannot be had");
		fflush(stdout);
		_exit(1);
	}
	return fd;
}

static int file_of(enum mem kind, unsigned long pages)
{
	char path[] = "/var/tmp/uffd_facts.XXXXXX";
	char page[PAGE];
	int fd = kind < FILE_PRIVATE ? memfd_create("facts", 0) : mkstemp(path);

	if (kind >= FILE_PRIVATE)
		unlink(path);
	if (ftruncate(fd, (long)(pages * PAGE)))
		abort();
	memset(page, 'f', PAGE);
	for (unsigned long i = 0; kind >= FILE_PRIVATE && i < pages; i++)
		if (pwrite(fd, page, PAGE, (long)(i * PAGE)) != (long)PAGE)
			abort();
	return fd;
}

char *mem(enum mem kind, unsigned long pages)
{
	char *room = mmap(NULL, (pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const bool shared = kind == ANON_SHARED || kind == MEMFD || kind == FILE_SHARED;
	int flags = MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE), fd = -1;
	char *at;

	if (kind == ANON || kind == ANON_SHARED)
		flags |= MAP_ANONYMOUS;
	else
		fd = file_of(kind, pages);
	munmap(room, PAGE);
	munmap(room + (pages + 1) * PAGE, PAGE);
	at = mmap(room + PAGE, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (fd >= 0)
		close(fd);
	if (at == MAP_FAILED)
		abort();
	madvise(at, pages * PAGE, MADV_NOHUGEPAGE);
	return at;
}

char *free_place(unsigned long pages)
{
	char *at = mmap(NULL, (pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at + PAGE; /* it stays reserved, so that no thread's stack comes there */
}

int reg_out(int fd, const void *at, unsigned long pages, uint64_t mode, uint64_t *ioctls)
{
	struct uffdio_register arg = { { (uintptr_t)at, pages * PAGE }, mode, 0 };
	int ret = call(fd, UFFDIO_REGISTER, &arg);

	*ioctls = arg.ioctls;
	return ret;
}

int reg(int fd, const void *at, unsigned long pages, uint64_t mode)
{
	uint64_t ioctls;

	return reg_out(fd, at, pages, mode, &ioctls);
}

int unreg(int fd, const void *at, unsigned long pages)
{
	struct uffdio_range arg = { (uintptr_t)at, pages * PAGE };

	return call(fd, UFFDIO_UNREGISTER, &arg);
}

int copy(int fd, void *dst, const void *src, unsigned long pages, uint64_t mode, long *done)
{
	struct uffdio_copy arg = { (uintptr_t)dst, (uintptr_t)src, pages * PAGE, mode, 99 };
	int ret = call(fd, UFFDIO_COPY, &arg);

	if (done)
		*done = arg.copy;
	return ret;
}

int zeropage(int fd, void *at, unsigned long pages, uint64_t mode, long *done)
{
	struct uffdio_zeropage arg = { { (uintptr_t)at, pages * PAGE }, mode, 99 };
	int ret = call(fd, UFFDIO_ZEROPAGE, &arg);

	if (done)
		*done = arg.zeropage;
	return ret;
}

int cont(int fd, void *at, unsigned long pages, uint64_t mode, long *done)
{
	struct uffdio_continue arg = { { (uintptr_t)at, pages * PAGE }, mode, 99 };
	int ret = call(fd, UFFDIO_CONTINUE, &arg);

	if (done)
		*done = arg.mapped;
	return ret;
}

int poison(int fd, void *at, unsigned long pages, uint64_t mode, long *done)
{
	struct uffdio_poison arg = { { (uintptr_t)at, pages * PAGE }, mode, 99 };
	int ret = call(fd, UFFDIO_POISON, &arg);

	if (done)
		*done = arg.updated;
	return ret;
}

int move(int fd, void *dst, void *src, unsigned long pages, uint64_t mode, long *done)
{
	struct uffdio_move arg = { (uintptr_t)dst, (uintptr_t)src, pages * PAGE, mode, 99 };
	int ret = call(fd, UFFDIO_MOVE, &arg);

	if (done)
		*done = arg.move;
	return ret;
}

int wp(int fd, void *at, unsigned long pages, uint64_t mode)
{
	struct uffdio_writeprotect arg = { { (uintptr_t)at, pages * PAGE }, mode };

	return call(fd, UFFDIO_WRITEPROTECT, &arg);
}

int wake(int fd, void *at, unsigned long pages)
{
	struct uffdio_range arg = { (uintptr_t)at, pages * PAGE };

	return call(fd, UFFDIO_WAKE, &arg);
}

/* messages ------------------------------------------------------------------------- */

static long off(uint64_t at, const void *base)
{
	return ((long)at - (long)base) / (long)PAGE;
}

char *message_text(const struct uffd_msg *msg, const void *base, char *to, size_t size)
{
	const uint64_t flags = msg->arg.pagefault.flags;

	switch (msg->event) {
	case UFFD_EVENT_PAGEFAULT:
		snprintf(to, size, "fault%+ld%s%s%s%s", off(msg->arg.pagefault.address, base),
			 flags & UFFD_PAGEFAULT_FLAG_WRITE ? " write" : " read",
			 flags & UFFD_PAGEFAULT_FLAG_WP ? " WP" : "",
			 flags & UFFD_PAGEFAULT_FLAG_MINOR ? " MINOR" : "",
			 msg->arg.pagefault.address & (PAGE - 1) ? " exact" : "");
		break;
	case UFFD_EVENT_FORK:
		snprintf(to, size, "fork");
		break;
	case UFFD_EVENT_REMAP:
		snprintf(to, size, "remap%+ld>%+ld len %ld", off(msg->arg.remap.from, base),
			 off(msg->arg.remap.to, base), (long)(msg->arg.remap.len / PAGE));
		break;
	case UFFD_EVENT_REMOVE:
	case UFFD_EVENT_UNMAP:
		snprintf(to, size, "%s%+ld..%+ld",
			 msg->event == UFFD_EVENT_UNMAP ? "unmap" : "remove",
			 off(msg->arg.remove.start, base), off(msg->arg.remove.end, base));
		break;
	default:
		snprintf(to, size, "event %#x", msg->event);
	}
	return to;
}

int next_message(int fd, struct uffd_msg *msg, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, ms) <= 0)
		return 0;
	return read(fd, msg, sizeof(*msg)) == sizeof(*msg);
}

char *messages(int fd, const void *base)
{
	static char text[1024];
	struct uffd_msg msg;
	char one[80];

	*text = 0;
	while (next_message(fd, &msg, 60)) {
		if (msg.event == UFFD_EVENT_FORK)
			close((int)msg.arg.fork.ufd);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
			 *text ? ", " : "", message_text(&msg, base, one, sizeof(one)));
	}
	if (!*text)
		snprintf(text, sizeof(text), "none");
	return text;
}

/* what the kernel shows ------------------------------------------------------------ */

uint64_t pagemap(const void *at)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t word = 0;

	if (pread(fd, &word, 8, (long)((uintptr_t)at / PAGE * 8)) != 8)
		word = 0;
	close(fd);
	return word;
}

char *pm(const void *at)
{
	static __thread char text[4][80];
	static __thread int next;
	static const struct {
		int bit;
		const char *name;
	} bits[] = { { 63, "present" }, { 62, "swap" }, { 61, "file" },     { 58, "guard" },
		     { 57, "wp" },      { 56, "excl" }, { 55, "softdirty" } };
	char *to = text[next++ % 4];
	uint64_t word = pagemap(at);

	snprintf(to, 80, "%s", word ? "" : "empty");
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (word >> bits[i].bit & 1)
			snprintf(to + strlen(to), 80 - strlen(to), "%s%s", *to ? " " : "",
				 bits[i].name);
	if (word >> 62 & 1)
		snprintf(to + strlen(to), 80 - strlen(to), " type %d", (int)(word & 31));
	return to;
}

char *vmflags(const void *at)
{
	static char text[160];
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start = 0, end = 0, from, to;
	char line[512];

	snprintf(text, sizeof(text), "no mapping");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			start = from, end = to;
		if (strncmp(line, "VmFlags:", 8) || (uintptr_t)at < start || (uintptr_t)at >= end)
			continue;
		snprintf(text, sizeof(text), "%s%s%s%ld pages%+ld",
			 strstr(line, " um ") ? "um " : "", strstr(line, " uw ") ? "uw " : "",
			 strstr(line, " ui ") ? "ui " : "", (long)(end - start) / (long)PAGE,
			 ((long)start - (long)at) / (long)PAGE);
		break;
	}
	fclose(f);
	return text;
}

/* threads -------------------------------------------------------------------------- */

static __thread sigjmp_buf *back;
static __thread siginfo_t got;

static void on_signal(int signo, siginfo_t *info, void *context)
{
	(void)signo, (void)context;
	got = *info;
	if (!back)
		_exit(99);
	siglongjmp(*back, 1);
}

static void catch_signals(void)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
}

void nap(int ms)
{
	usleep((unsigned int)ms * 1000);
}

long do_read(struct doer *d)
{
	return *(volatile char *)d->at;
}

long do_write(struct doer *d)
{
	*(volatile char *)d->at = 'w';
	return 0;
}

static void *doer_main(void *arg)
{
	struct doer *d = arg;
	sigjmp_buf here;

	back = &here;
	if (!sigsetjmp(here, 1)) {
		d->ret = d->what(d);
		__atomic_store_n(&d->state, 1, __ATOMIC_RELEASE);
	} else {
		d->code = got.si_code;
		__atomic_store_n(&d->state, got.si_signo, __ATOMIC_RELEASE);
	}
	return NULL;
}

void doer_start(struct doer *d, long (*what)(struct doer *), void *at)
{
	const long arg = d->arg;

	catch_signals();
	*d = (struct doer){ .what = what, .at = at, .arg = arg };
	pthread_create(&d->thread, NULL, doer_main, d);
	pthread_detach(d->thread);
}

const char *doer_state(struct doer *d, int ms)
{
	static __thread char text[4][40];
	static __thread int at;
	char *to = text[at++ % 4];
	int state;

	for (; !(state = __atomic_load_n(&d->state, __ATOMIC_ACQUIRE)) && ms > 0; ms -= 2)
		nap(2);
	if (state > 1)
		snprintf(to, 40, "%s code %d", sigabbrev_np(state), d->code);
	else
		snprintf(to, 40, "%s", state ? "done" : "asleep");
	return to;
}

const char *touch(void *at, bool write)
{
	static char text[40];
	sigjmp_buf here, *outer = back;

	catch_signals();
	back = &here;
	if (!sigsetjmp(here, 1)) {
		if (write)
			*(volatile char *)at = 't';
		else
			(void)*(volatile char *)at;
		snprintf(text, sizeof(text), "ok");
	} else {
		snprintf(text, sizeof(text), "SIG%s code %d lsb %d", sigabbrev_np(got.si_signo),
			 got.si_code, got.si_signo == SIGBUS ? got.si_addr_lsb : 0);
	}
	back = outer;
	return text;
}
