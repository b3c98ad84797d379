/* SPDX-License-Identifier: MIT */
/*
 * Memory that arrives when it is touched: a handler reads pages of a file as the guest asks for
 * them, and is told of the pages that the guest throws away. A file of one's own, or this program.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/access.h>
#include <samara/mm.h>
#include <samara/uffd.h>

#define PAGE 4096ul
#define PAGES 64ul
#define AT 0x10000000ul

struct handler {
	struct samara_uffd *uffd;
	int file;
	unsigned long filled, removed;
};

static void must(const char *what, long err)
{
	if (err >= 0)
		return;
	fprintf(stderr, "uffd: %s: %s\n", what, strerror((int)-err));
	exit(1);
}

/* The page at addr, with what the file has there; behind its end there are zeros. */
static void fill(struct handler *h, unsigned long addr)
{
	char page[PAGE] = { 0 };
	struct uffdio_copy copy = { .src = (unsigned long)page, .len = PAGE };

	copy.dst = addr & -PAGE;
	must("pread", pread(h->file, page, PAGE, (off_t)(copy.dst - AT)) < 0 ? -errno : 0);
	h->filled++; /* first: then the guest goes on */
	must("UFFDIO_COPY", samara_uffd_ioctl(h->uffd, UFFDIO_COPY, &copy));
}

/* Until the guest unmaps its memory. */
static void *serve(void *arg)
{
	struct handler *h = arg;
	struct uffd_msg msg;

	for (;;) {
		must("reading a message", samara_uffd_read(h->uffd, &msg, 1));
		if (msg.event == UFFD_EVENT_PAGEFAULT)
			fill(h, msg.arg.pagefault.address);
		else if (msg.event == UFFD_EVENT_REMOVE)
			h->removed += (msg.arg.remove.end - msg.arg.remove.start) / PAGE;
		else if (msg.event == UFFD_EVENT_UNMAP)
			return NULL;
	}
}

/* Every third page of the guest holds what the file has there. */
static int looks_right(struct samara_mm *guest, int file)
{
	char there[PAGE], should[PAGE];

	for (unsigned long i = 0; i < PAGES; i += 3) {
		memset(should, 0, PAGE);
		must("pread", pread(file, should, PAGE, (off_t)(i * PAGE)) < 0 ? -errno : 0);
		if (samara_read(guest, AT + i * PAGE, there, PAGE, NULL) != PAGE ||
		    memcmp(there, should, PAGE) != 0)
			return 0;
	}
	return 1;
}

int main(int argc, char **argv)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP,
	};
	struct uffdio_register all = {
		.range = { AT, PAGES * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct handler h = { .file = open(argc > 1 ? argv[1] : "/proc/self/exe", O_RDONLY) };
	struct samara_machine *machine;
	struct samara_mm *guest;
	pthread_t thread;

	must("open", h.file < 0 ? -errno : 0);
	must("machine", samara_machine_create(NULL, &machine));
	must("mm", samara_mm_create(machine, &guest));
	must("mmap", (long)samara_mmap(guest, AT, PAGES * PAGE, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0));
	must("userfaultfd", samara_uffd_create(guest, 0, &h.uffd));
	must("UFFDIO_API", samara_uffd_ioctl(h.uffd, UFFDIO_API, &api));
	must("UFFDIO_REGISTER", samara_uffd_ioctl(h.uffd, UFFDIO_REGISTER, &all));
	must("thread", -pthread_create(&thread, NULL, serve, &h));

	printf("every third page: %s\n", looks_right(guest, h.file) ? "as in the file" : "wrong");
	printf("filled: %lu of %lu\n", h.filled, PAGES);
	must("madvise", samara_madvise(guest, AT, 3 * PAGE, MADV_DONTNEED));
	printf("after three were thrown away: %s\n",
	       looks_right(guest, h.file) ? "as in the file" : "wrong");
	printf("filled: %lu\n", h.filled);

	must("munmap", samara_munmap(guest, AT, PAGES * PAGE));
	pthread_join(thread, NULL);
	/* madvise() returned when the handler had read of it, which counted it only then. */
	printf("thrown away, and the handler was told: %lu\n", h.removed);
	samara_uffd_put(h.uffd);
	samara_mm_exit(guest);
	samara_machine_destroy(machine);
	close(h.file);
	return 0;
}
