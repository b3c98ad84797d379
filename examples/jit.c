/* SPDX-License-Identifier: MIT */
/*
 * Machine code that runs in a guest's memory: frames of the machine are mapped into this process,
 * at guest_base plus the guest's address, when the code touches them. What a JIT emits would look
 * like this code.
 *
 *   guest code         SIGSEGV               samara_fault_in()     the page comes
 *   touches a page --> handler -----------> which frame?  ------> mmap(ram.fd, frame) at guest_base
 *   munmap, fork       op_flush()            unmaps, or write-protects
 *   a copy on write    op_moved()            the copy's frame takes the place of the old one's
 *
 * Every address space has a window of its own. The code is x86-64's; elsewhere nothing is run.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <samara/access.h>
#include <samara/backend.h>
#include <samara/mm.h>

#define PAGE 4096ul
#define PAGES 64ul       /* of a window: guest addresses 0 to PAGES * PAGE */
#define CODE (16 * PAGE) /* where the guest's code is, */
#define DATA (32 * PAGE) /* and what it works on */
#define SKIPPED 77

#ifdef __x86_64__

struct guest {
	struct samara_mm *mm;
	struct samara_unit *unit;
	char *base;                 /* its window in this process */
	pthread_mutex_t lock;       /* of what is mapped there */
	unsigned int rights[PAGES]; /* of each page that is mapped; 0: none is */
	unsigned int exchanged;     /* how often op_moved() was called */
};

static struct samara_ram_info ram = { .size = sizeof(ram) };
static struct guest guests[2];
static struct samara_fault stopped; /* why the guest's code could not go on */
static sigjmp_buf gives_up;

static void must(const char *what, long err)
{
	if (err >= 0)
		return;
	fprintf(stderr, "jit: %s: %s\n", what, strerror((int)-err));
	exit(1);
}

static int prot_of(unsigned int rights)
{
	return (rights & SAMARA_RIGHT_READ ? PROT_READ : 0) |
	       (rights & SAMARA_RIGHT_WRITE ? PROT_WRITE : 0) |
	       (rights & SAMARA_RIGHT_EXEC ? PROT_EXEC : 0);
}

/* The lock is held in the next three. */
static void map(struct guest *g, const struct samara_translation *t)
{
	if (mmap(g->base + t->addr, PAGE, prot_of(t->rights), MAP_SHARED | MAP_FIXED, ram.fd,
		 (off_t)(t->pfn << ram.page_shift)) == MAP_FAILED)
		abort();
	g->rights[t->addr / PAGE] = t->rights;
}

static void unmap(struct guest *g, unsigned long page)
{
	if (mmap(g->base + page * PAGE, PAGE, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		abort();
	g->rights[page] = 0;
}

static void protect(struct guest *g, unsigned long page)
{
	g->rights[page] &= ~(unsigned int)SAMARA_RIGHT_WRITE;
	if (mprotect(g->base + page * PAGE, PAGE, prot_of(g->rights[page])))
		abort();
}

static void op_flush(void *priv, unsigned long start, unsigned long end, enum samara_lost lost)
{
	struct guest *g = priv;

	pthread_mutex_lock(&g->lock);
	for (unsigned long page = start / PAGE; page < PAGES && page * PAGE <= end - 1; page++) {
		if (g->rights[page] && lost == SAMARA_LOST_ALL)
			unmap(g, page);
		else if (g->rights[page] & SAMARA_RIGHT_WRITE)
			protect(g, page);
	}
	pthread_mutex_unlock(&g->lock);
}

/* mmap(2) puts one frame in the place of another in one step. */
static int op_moved(void *priv, const struct samara_translation *t)
{
	struct guest *g = priv;

	pthread_mutex_lock(&g->lock);
	map(g, t);
	g->exchanged++;
	pthread_mutex_unlock(&g->lock);
	return 1;
}

/* 0; or -EFAULT, and stopped says why. */
static int come(struct guest *g, unsigned long addr, enum samara_access access)
{
	struct samara_translation t;
	int err, stale;

	do {
		err = samara_fault_in(g->mm, addr, access, 0, &t, &stopped);
		if (err)
			return err;
		pthread_mutex_lock(&g->lock);
		stale = samara_translation_stale(g->mm, &t);
		if (!stale)
			map(g, &t);
		pthread_mutex_unlock(&g->lock);
	} while (stale);
	return 0;
}

/* The code was touching its memory, and no call of the library's was under way. */
static void on_segv(int signo, siginfo_t *info, void *context)
{
	const unsigned long err =
		(unsigned long)((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR];
	const enum samara_access access = err & 16 ? SAMARA_ACCESS_EXEC :
					  err & 2  ? SAMARA_ACCESS_WRITE :
						     SAMARA_ACCESS_READ;
	const char *at = info->si_addr;

	for (int i = 0; i < 2; i++) {
		struct guest *g = &guests[i];

		if (!g->base || at < g->base || at >= g->base + PAGES * PAGE)
			continue;
		if (come(g, (unsigned long)(at - g->base), access))
			siglongjmp(gives_up, 1);
		return;
	}
	signal(signo, SIG_DFL); /* none of the guests' */
}

static void open_window(struct guest *g, struct samara_mm *mm)
{
	static const struct samara_unit_ops ops = {
		.size = sizeof(ops),
		.flush = op_flush,
		.moved = op_moved,
	};

	g->mm = mm;
	pthread_mutex_init(&g->lock, NULL);
	g->base = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);
	must("window", g->base == MAP_FAILED ? -errno : 0);
	must("unit", samara_unit_attach(mm, &ops, g, &g->unit));
}

static void close_window(struct guest *g)
{
	samara_mm_exit(g->mm);
	samara_unit_detach(g->unit);
	munmap(g->base, PAGES * PAGE);
}

/* Adds n to the guest's word at DATA, and prints what it is then, or what stopped it. */
static void run(struct guest *g, const char *who, long n)
{
	long (*add)(void *word, long n);
	const void *code = g->base + CODE;

	memcpy(&add, &code, sizeof(add));
	if (!sigsetjmp(gives_up, 1))
		printf("%s adds %ld: %ld\n", who, n, add(g->base + DATA, n));
	else
		printf("%s adds %ld: %s at %#lx\n", who, n,
		       stopped.code == SEGV_ACCERR ? "SEGV_ACCERR" : "SEGV_MAPERR", stopped.addr);
}

static void load_guest(struct samara_mm *mm)
{
	/* mov rax, [rdi]; add rax, rsi; mov [rdi], rax; ret */
	static const unsigned char add[] = { 0x48, 0x8b, 0x07, 0x48, 0x01,
					     0xf0, 0x48, 0x89, 0x07, 0xc3 };
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	must("mmap", (long)samara_mmap(mm, CODE, PAGE, PROT_READ | PROT_WRITE, flags, NULL, 0));
	must("code", samara_write(mm, CODE, add, sizeof(add), NULL));
	must("mprotect", samara_mprotect(mm, CODE, PAGE, PROT_READ | PROT_EXEC));
	must("mmap", (long)samara_mmap(mm, DATA, PAGE, PROT_READ | PROT_WRITE, flags, NULL, 0));
}

int main(void)
{
	struct sigaction act = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };
	struct guest *parent = &guests[0], *child = &guests[1];
	struct samara_machine *machine;
	struct samara_mm *mm;
	long word = 0;

	must("machine", samara_machine_create(NULL, &machine));
	must("ram", samara_ram(machine, &ram));
	must("mm", samara_mm_create(machine, &mm));
	open_window(parent, mm);
	load_guest(mm);
	sigaction(SIGSEGV, &act, NULL);

	run(parent, "parent", 5);
	run(parent, "parent", 6);
	must("read", samara_read(mm, DATA, &word, sizeof(word), NULL));
	printf("samara_read() sees %ld\n", word);

	must("fork", samara_fork(mm, &mm));
	open_window(child, mm);
	run(parent, "parent", 100);
	/* The page of zeros at the first store, and the page that is the child's as well. */
	printf("frames exchanged in one step: %u\n", parent->exchanged);
	run(child, "child", 7);

	must("mprotect", samara_mprotect(child->mm, DATA, PAGE, PROT_READ));
	run(child, "child", 1);
	run(parent, "parent", 1);
	must("munmap", samara_munmap(parent->mm, DATA, PAGE));
	run(parent, "parent", 1);

	close_window(child);
	close_window(parent);
	samara_machine_destroy(machine);
	return 0;
}

#else

int main(void)
{
	puts("jit: the code of this example is for x86-64 only");
	return SKIPPED;
}

#endif
