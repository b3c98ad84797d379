/* SPDX-License-Identifier: MIT */
/*
 * What kind of kernel the host runs, measured by a process of its own. Neither the command line nor
 * a setting's text is believed: what counts is what a program sees.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check/check.h"

/*
 * Two pages that were only read. A page of zeros that all share is nobody's own; pages of one's own
 * are mapped once each, and are two frames where frames are shown.
 */
static void probe_zero_page(struct host_facts *facts)
{
	const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	volatile char *page = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const off_t at = (off_t)((uintptr_t)page / PAGE * sizeof(uint64_t));
	uint64_t both, frame[2], entry[2];

	if (fd < 0 || page == MAP_FAILED || page[0] || page[PAGE] ||
	    pread(fd, entry, sizeof(entry), at) != sizeof(entry))
		return;
	both = entry[0] & entry[1];
	if (!(both & SAMARA_PM_PRESENT))
		return;
	for (int i = 0; i < 2; i++)
		frame[i] = entry[i] & SAMARA_PM_PFN;
	if ((both & SAMARA_PM_MMAP_EXCLUSIVE) && (!frame[0] || frame[0] != frame[1])) {
		facts->zero_page = ZERO_PAGE_NONE;
	} else if (!((entry[0] | entry[1]) & SAMARA_PM_MMAP_EXCLUSIVE) && frame[0] == frame[1]) {
		facts->zero_page = ZERO_PAGE_SHARED;
		facts->zero_frame = frame[0];
	}
}

void host_probe(struct host_facts *facts)
{
	struct host_facts *seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	*facts = (struct host_facts){ .zero_page = ZERO_PAGE_UNKNOWN, .zero_frame = NONE };
	if (seen == MAP_FAILED)
		return;
	*seen = *facts;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
		probe_zero_page(seen);
		_exit(0);
	}
	if (pid > 0 && waitpid(pid, NULL, 0) == pid)
		*facts = *seen;
	munmap(seen, sizeof(*seen));
}
