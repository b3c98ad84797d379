/* SPDX-License-Identifier: MIT */
/*
 * A program whose memory calls are refused: by the rights of a file, by a limit, by
 * a filter, and by the map itself, midway through several mappings. What each leaves
 * behind is in the map at the end.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static unsigned int unexpected;

static void must_fail(const char *what, long ret)
{
	if (ret == 0)
		unexpected++, printf("%s: allowed\n", what);
}

static char *map(char *at, size_t pages, int prot, int flags, int fd)
{
	char *p = mmap(at, pages * PAGE, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

/* A window in which later calls place what they need; nothing else lies near it. */
static char *window(void)
{
	char *p = map(NULL, 64, PROT_NONE, ANON | MAP_NORESERVE, -1);

	munmap(p, 64 * PAGE);
	return p;
}

static void read_only_file(void)
{
	char *at = window(), name[] = "/tmp/refused-XXXXXX";
	int fd = mkstemp(name), ro = open(name, O_RDONLY);

	if (fd < 0 || ro < 0 || ftruncate(fd, 4 * PAGE))
		abort();
	unlink(name);
	map(at, 2, PROT_READ, ANON | MAP_FIXED, -1);
	map(at + 2 * PAGE, 2, PROT_READ, MAP_SHARED | MAP_FIXED, ro);
	map(at + 4 * PAGE, 2, PROT_READ, ANON | MAP_FIXED, -1);
	must_fail("mprotect of the file", mprotect(at + 2 * PAGE, 2 * PAGE, RW));
	must_fail("mprotect across it", mprotect(at + PAGE, 4 * PAGE, RW));
	must_fail("mmap of the file",
		  mmap(at, PAGE, RW, MAP_SHARED | MAP_FIXED, ro, 0) != MAP_FAILED ? 0 : 1);
	map(at + 8 * PAGE, 2, RW, MAP_SHARED | MAP_FIXED, fd);
	close(fd);
	close(ro);
}

static void midway(void)
{
	char *at = window();

	map(at, 3, RW, ANON | MAP_FIXED, -1);
	map(at + 4 * PAGE, 3, RW, ANON | MAP_FIXED, -1);
	must_fail("mprotect over a hole", mprotect(at + PAGE, 5 * PAGE, PROT_READ));
	must_fail("madvise over a hole", madvise(at + 2 * PAGE, 4 * PAGE, MADV_DONTFORK));
	must_fail("mlock over a hole", mlock(at + 6 * PAGE, 4 * PAGE));
	must_fail("mremap over a hole",
		  mremap(at, 6 * PAGE, 8 * PAGE, MREMAP_MAYMOVE) != MAP_FAILED ? 0 : 1);
	must_fail("MAP_FIXED_NOREPLACE",
		  mmap(at, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED ? 0 : 1);
}

static void limits(void)
{
	struct rlimit data, lock = { 8 * PAGE, 8 * PAGE };
	char *at, *top = sbrk(0);

	getrlimit(RLIMIT_DATA, &data);
	data.rlim_cur = 16 * PAGE;
	setrlimit(RLIMIT_DATA, &data);
	must_fail("brk above RLIMIT_DATA", sbrk(64 * PAGE) == (void *)-1 ? 1 : 0);
	must_fail("mmap above RLIMIT_DATA",
		  mmap(NULL, 32 * PAGE, RW, ANON, -1, 0) != MAP_FAILED ? 0 : 1);
	data.rlim_cur = data.rlim_max;
	setrlimit(RLIMIT_DATA, &data);
	if (brk(top + 3 * PAGE))
		abort();
	setrlimit(RLIMIT_MEMLOCK, &lock);
	at = map(NULL, 16, RW, ANON, -1);
	(void)!mlock(at, 12 * PAGE); /* allowed with CAP_IPC_LOCK only */
	munlock(at, 16 * PAGE);
	mprotect(at + 5 * PAGE, PAGE, PROT_READ);
}

/* As systemd's MemoryDenyWriteExecute: no memory that is both, none made executable later. */
static void deny_write_execute(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mmap, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROT_WRITE | PROT_EXEC, 4, 3),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mprotect, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1 /* EPERM */),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		abort();
}

static void filtered(void)
{
	char *at = window();

	map(at, 4, RW, ANON | MAP_FIXED, -1);
	deny_write_execute();
	must_fail("mprotect to r-x", mprotect(at + PAGE, PAGE, PROT_READ | PROT_EXEC));
	must_fail("mprotect of nothing", mprotect(at + 8 * PAGE, PAGE, PROT_READ | PROT_EXEC));
	must_fail("mmap rwx",
		  mmap(at, 2 * PAGE, RW | PROT_EXEC, ANON | MAP_FIXED, -1, 0) != MAP_FAILED ? 0 :
											      1);
	map(at + 8 * PAGE, 2, PROT_READ | PROT_EXEC, ANON | MAP_FIXED, -1);
	mprotect(at + 2 * PAGE, PAGE, PROT_READ);
}

int main(void)
{
	read_only_file();
	midway();
	limits();
	filtered();
	return unexpected != 0;
}
