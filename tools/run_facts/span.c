/* SPDX-License-Identifier: MIT */
/* Frames numbered far beyond what the machine has: a file with holes. */
#include "facts.h"

#include <linux/falloc.h>
#include <sys/sendfile.h>

static struct frames f;

static void store_near(void *arg, int i)
{
	(void)arg;
	f.base[(unsigned long)i * PAGE] = 1;
}

static void store_block(void *arg, int i)
{
	(void)arg;
	f.base[(unsigned long)i * BLOCK] = 1;
}

static void store_far(void *arg, int i)
{
	(void)arg;
	f.base[(unsigned long)i * 64 * BLOCK] = 1;
}

static void punch(unsigned long from, unsigned long bytes)
{
	fallocate(f.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)bytes);
}

static unsigned long punched;

static void punch_next(void *arg, int i)
{
	punch((unsigned long)i * punched * PAGE, punched * PAGE);
	(void)arg;
}

static double punch_cost(unsigned long pages, int times)
{
	punched = pages;
	for (unsigned long i = 0; i < pages * (unsigned long)times; i++)
		f.base[i * PAGE] = 1;
	return best(times, 1, punch_next, NULL) / (double)pages;
}

/* How bytes come into fresh frames: pages of a file, pages of another frame. */
enum way { PREAD, SEND, STORE_COPY, PWRITE, FRAME_COPY, WAYS };
static const char *const way_names[WAYS] = {
	"16 pages of a file into holes: pread to the mapping, a page",
	"... sendfile to the descriptor, a page",
	"a page of a frame into a hole: memcpy",
	"... pwrite to the descriptor",
	"... copy_file_range within the descriptor",
};
static int source;

static void bring(void *arg, int i)
{
	const enum way way = *(enum way *)arg;
	const unsigned long pages = way <= SEND ? 16 : 1;
	loff_t from = 0, to = (loff_t)((1000 + (unsigned long)i * pages) * PAGE);
	ssize_t got = (ssize_t)(pages * PAGE);

	switch (way) {
	case PREAD:
		got = pread(source, f.base + to, pages * PAGE, 0);
		break;
	case SEND:
		lseek(f.fd, to, SEEK_SET);
		got = sendfile(f.fd, source, &from, pages * PAGE);
		break;
	case STORE_COPY:
		memcpy(f.base + to, f.base, PAGE);
		break;
	case PWRITE:
		got = pwrite(f.fd, f.base, PAGE, to);
		break;
	default:
		got = copy_file_range(f.fd, &from, f.fd, &to, PAGE, 0);
	}
	must(got == (ssize_t)(pages * PAGE), way_names[way]);
}

static void bringing(void)
{
	char path[] = "/var/tmp/run_facts.XXXXXX", page[16 * PAGE];

	memset(page, 's', sizeof(page));
	source = mkstemp(path);
	unlink(path);
	must(write(source, page, sizeof(page)) == (ssize_t)sizeof(page), "file");
	for (enum way way = 0; way < WAYS; way++) {
		const int pages = way <= SEND ? 16 : 1;

		memset(f.base, 'f', PAGE);
		FACT(way_names[way],
		     P("%.2f", best(way <= SEND ? 100 : 1000, 1, bring, &way) / pages));
		punch(0, 512UL << 30);
	}
	close(source);
}

static void registering(unsigned long bytes)
{
	int fd = uffd_make(0);
	double took[40];
	char *at;

	for (int b = 0; b < 40; b++) {
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, f.fd, 0);
		took[b] = now();
		must(!reg(fd, at, bytes / PAGE, ALL_MODES), "register");
		took[b] = now() - took[b];
		munmap(at, bytes);
	}
	P("%.1f ", twentieth(took, 40));
	close(fd);
}

/* No page is there: are entries made nevertheless? */
static void protecting(unsigned long bytes)
{
	int fd = uffd_make(0);
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, f.fd, 0);
	const long before = proc_number("/proc/self/status", "VmPTE");
	double took;

	must(!reg(fd, at, bytes / PAGE, ALL_MODES), "register");
	took = now();
	protect(fd, at, bytes / PAGE, true);
	took = now() - took;
	P("%.0f (%ld KiB of tables) ", took, proc_number("/proc/self/status", "VmPTE") - before);
	munmap(at, bytes);
	close(fd);
}

void group_span(void)
{
	long before;
	double near, far;

	f = frames_make(512UL << 30);
	near = best(2000, 1, store_near, NULL);
	punch(0, 512UL << 30);
	before = proc_number("/proc/meminfo", "Slab");
	far = best(4000, 1, store_far, NULL);
	FACT("slab memory of 4000 frames 128 MiB apart, KiB a frame (others run beside)",
	     P("%.1f", (double)(proc_number("/proc/meminfo", "Slab") - before) / 4000));
	punch(0, 512UL << 30);
	FACT("first store to a frame by the supervisor: consecutive, 2 MiB apart, 128 MiB apart",
	     P("%.2f, ", near), P("%.2f, ", best(4000, 1, store_block, NULL)), P("%.2f", far));
	punch(0, 512UL << 30);
	FACT("punching holes, per page: 1, 16, 512 pages at once", P("%.2f, ", punch_cost(1, 1000)),
	     P("%.2f, ", punch_cost(16, 200)), P("%.2f", punch_cost(512, 20)));
	punch(0, 512UL << 30);
	bringing();
	FACT("WRITEPROTECT of an empty window of 2 MiB, 64 MiB, 1 GiB", protecting(BLOCK),
	     protecting(32 * BLOCK), protecting(1UL << 30));
	FACT("REGISTER of an empty window of 2 MiB, 64 MiB, 64 GiB", registering(BLOCK),
	     registering(32 * BLOCK), registering(64UL << 30));
}
