/* SPDX-License-Identifier: MIT */
/*
 * What the traces of other machines in tests/cli/arch/ ran: memory calls of a
 * program without C library, for i386, x86-64 and aarch64. It prints its
 * /proc/self/maps before the first and after the last call.
 */
#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_SHARED 1
#define MAP_PRIVATE 2
#define MAP_FIXED 16
#define MAP_ANONYMOUS 32
#define MAP_NORESERVE 0x4000

#if defined(__i386__)
enum {
	READ = 3,
	WRITE = 4,
	OPEN = 5,
	CLOSE = 6,
	EXIT = 252,
	BRK = 45,
	MMAP = 192,
	MUNMAP = 91,
	MPROTECT = 125,
	MREMAP = 163,
	MADVISE = 219,
	MLOCK = 150,
	OLD_MMAP = 90,
	EXECVE = 11
};
static long call(long n, long a, long b, long c, long d, long e, long f)
{
	long args[7] = { n, a, b, c, d, e, f }, ret;

	__asm__ volatile(
		"push %%ebp\n push %%ebx\n mov 4(%%eax),%%ebx\n mov 8(%%eax),%%ecx\n"
		"mov 12(%%eax),%%edx\n mov 16(%%eax),%%esi\n mov 20(%%eax),%%edi\n"
		"mov 24(%%eax),%%ebp\n mov (%%eax),%%eax\n int $0x80\n pop %%ebx\n pop %%ebp"
		: "=a"(ret)
		: "a"(args)
		: "ecx", "edx", "esi", "edi", "memory");
	return ret;
}
#define OFFSET(bytes) ((bytes) >> 12)
#define open_file(path) call(OPEN, (long)(path), 0, 0, 0, 0, 0)
#elif defined(__x86_64__)
enum {
	READ = 0,
	WRITE = 1,
	OPEN = 2,
	CLOSE = 3,
	EXIT = 231,
	BRK = 12,
	MMAP = 9,
	MUNMAP = 11,
	MPROTECT = 10,
	MREMAP = 25,
	MADVISE = 28,
	MLOCK = 149,
	EXECVE = 59
};
static long call(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#define OFFSET(bytes) (bytes)
#define open_file(path) call(OPEN, (long)(path), 0, 0, 0, 0, 0)
#else
enum {
	READ = 63,
	WRITE = 64,
	OPEN = 56,
	CLOSE = 57,
	EXIT = 94,
	BRK = 214,
	MMAP = 222,
	MUNMAP = 215,
	MPROTECT = 226,
	MREMAP = 216,
	MADVISE = 233,
	MLOCK = 228,
	EXECVE = 221
};
static long call(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e,
			 x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#define OFFSET(bytes) (bytes)
#define open_file(path) call(OPEN, -100, (long)(path), 0, 0, 0, 0)
#endif

static void dump(const char *head, long len)
{
	char buf[4096];
	long fd = open_file("/proc/self/maps"), got;

	call(WRITE, 1, (long)head, len, 0, 0, 0);
	while ((got = call(READ, fd, (long)buf, sizeof(buf), 0, 0, 0)) > 0)
		call(WRITE, 1, (long)buf, got, 0, 0, 0);
	call(CLOSE, fd, 0, 0, 0, 0, 0);
}

static long map(long addr, long len, long prot, long flags, long fd, long offset)
{
	long at = call(MMAP, addr, len, prot, flags, fd, OFFSET(offset));

	if ((unsigned long)at < -4096UL && (prot & PROT_WRITE) && len < 1 << 24)
		for (long i = 0; i < len; i += 4096)
			((volatile char *)at)[i] = 1;
	return at;
}

/* Of whole huge pages where that must not matter: newer kernels align it on 64-bit machines. */
#ifdef __i386__
#define BIG 0x400000
#else
#define BIG 0x3ff000
#endif
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

__attribute__((used, noreturn)) void entry(long *stack)
{
	long a, b, c, fd, heap;

	dump("@ exec\n", 7);
	heap = call(BRK, 0, 0, 0, 0, 0, 0);
	call(BRK, heap + 0x3000, 0, 0, 0, 0, 0);
	*(volatile char *)heap = 1;
	a = map(0, 0x10000, RW, ANON, -1, 0);
	b = map(0, 0x5000, PROT_READ, ANON, -1, 0);
	map(0, BIG, RW, ANON, -1, 0);
	call(MPROTECT, a + 0x4000, 0x2000, PROT_READ, 0, 0, 0);
	call(MUNMAP, a + 0x8000, 0x1000, 0, 0, 0, 0);
	c = call(MREMAP, b, 0x5000, 0x9000, 1, 0, 0);
	call(MADVISE, a, 0x2000, 4, 0, 0, 0);
	fd = open_file("/data");
	a = map(0, 0x5000, PROT_READ, MAP_PRIVATE, fd, 0x3000);
	map(a + 0x1000, 0x2000, RW, MAP_PRIVATE | MAP_FIXED, fd, 0x6000);
	map(0, 0x3000, PROT_READ, MAP_SHARED, fd, 0x1000);
	call(MUNMAP, c + 0x2000, 0x1000, 0, 0, 0, 0);
	map(0x10000000, 0x2000, RW, ANON, -1, 0);
	map(1, 0x1000, RW, ANON | MAP_FIXED, -1, 0);      /* no page: EINVAL */
	map(-4096L, 0x1000, RW, ANON | MAP_FIXED, -1, 0); /* above the space */
	map(0, 0x6ffff000, 0, ANON | MAP_NORESERVE, -1, 0);
	map(0, 0x6ffff000, 0, ANON | MAP_NORESERVE, -1, 0); /* ENOMEM where there are 4 GiB */
	call(MUNMAP, -8192L, 0x2000, 0, 0, 0, 0);
#ifdef OLD
	{
		long old[6] = { 0, 0x2000, RW, ANON, -1, 0 };

		call(OLD_MMAP, (long)old, 0, 0, 0, 0, 0);
	}
#endif
	call(BRK, heap + 0x1000, 0, 0, 0, 0, 0);
	dump("@ exit\n", 7);
	if (stack[0] > 1) { /* the name of another program to become */
		long argv[2] = { stack[2], 0 };

		call(EXECVE, stack[2], (long)argv, 0, 0, 0, 0);
	}
	for (;;)
		call(EXIT, 0, 0, 0, 0, 0, 0);
}

#if defined(__i386__)
__asm__(".globl _start\n_start: mov %esp,%eax\n push %eax\n call entry");
#elif defined(__x86_64__)
__asm__(".globl _start\n_start: mov %rsp,%rdi\n call entry");
#else
__asm__(".globl _start\n_start: mov x0,sp\n bl entry");
#endif
