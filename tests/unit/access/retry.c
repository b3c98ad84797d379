/* SPDX-License-Identifier: MIT */
/*
 * What has to wait waits with nothing held, and then looks at the map again: accesses, pins,
 * populating, reads and writes of files, fork. The machine is full, and a page is freed only while
 * the call waits.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/inject.h>

#include "base/lock.h"
#include "store/file.h"
#include "support/advice.h"
#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/store_box.h"

#define RW (PROT_READ | PROT_WRITE)

static struct mem m;

/* What happens while a call waits for memory. */
static struct {
	unsigned long hog, hog_pages; /* a mapping with all frames there are */
	void (*meanwhile)(void);      /* once, at the first wait */
	unsigned int waits;
	bool dry; /* nothing is to be got */
} world;

static unsigned long at; /* what the test looks at */

/* Calls on the mm that waits: each would hang if a lock were held. */
static bool free_some(struct file_store *store)
{
	void (*const meanwhile)(void) = world.meanwhile;

	assert_ptr_equal(store, m.machine->store);
	assert_false(lock_rank_holds_any());
	world.meanwhile = NULL;
	world.waits++;
	if (meanwhile)
		meanwhile();
	if (world.dry || world.hog_pages < 2)
		return false;
	world.hog_pages -= 2;
	return !samara_munmap(m.mm, world.hog + world.hog_pages * MEM_PAGE, 2 * MEM_PAGE);
}

static void stay_asleep(void *arg)
{
	(void)arg;
}

static int set_up(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	mem_open(&m, 1 << 20);
	samara_set_caps(m.mm, SAMARA_CAP_IPC_LOCK);
	m.machine->store->make_room = free_some;
	/* The machine's thread would make room too, now or then. */
	ram_watch(m.machine->ram, stay_asleep, NULL);
	return 0;
}

MEM_TEAR_DOWN(m);

/* All frames but keep. */
static void fill(unsigned long keep)
{
	if (world.hog_pages)
		assert_int_equal(samara_munmap(m.mm, world.hog, world.hog_pages * MEM_PAGE), 0);
	world.hog_pages = 256 - mem_frames(&m) - keep;
	world.hog = mem_map(&m, world.hog_pages, RW, MAP_PRIVATE | MAP_POPULATE, NULL);
	assert_int_equal(mem_frames(&m) + keep, 256);
	world.waits = 0;
}

static unsigned long present(unsigned long addr, unsigned long pages)
{
	unsigned long n = 0;

	for (unsigned long i = 0; i < pages; i++)
		n += pte_present(mem_pte(&m, addr + i * MEM_PAGE));
	return n;
}

/* memory ------------------------------------------------------------------------ */

static void an_access_waits_for_memory(void **state)
{
	struct samara_fault fault;
	char byte = 7;

	(void)state;
	at = mem_map(&m, 3, RW, MAP_PRIVATE, NULL);
	fill(0);
	assert_int_equal(samara_write(m.mm, at, &byte, 1, &fault), 1);
	assert_int_equal(world.waits, 1);
	world.dry = true;
	assert_int_equal(samara_write(m.mm, at + MEM_PAGE, &byte, 1, &fault), 1);
	assert_int_equal(samara_write(m.mm, at + 2 * MEM_PAGE, &byte, 1, &fault), -ENOMEM);
	assert_int_equal(fault.signo, 0);
	assert_int_equal(world.waits, 2);
}

static void unmap_all(void)
{
	assert_int_equal(samara_munmap(m.mm, at, 8 * MEM_PAGE), 0);
}

static void unmap_end(void)
{
	assert_int_equal(samara_munmap(m.mm, at + 3 * MEM_PAGE, 5 * MEM_PAGE), 0);
}

static void forbid_end(void)
{
	assert_int_equal(samara_mprotect(m.mm, at + 3 * MEM_PAGE, 5 * MEM_PAGE, PROT_NONE), 0);
}

static void an_access_finds_the_map_changed_after_its_wait(void **state)
{
	struct samara_fault fault;
	char byte = 7;

	(void)state;
	at = mem_map(&m, 8, RW, MAP_PRIVATE, NULL);
	fill(0);
	world.meanwhile = unmap_all;
	assert_int_equal(samara_write(m.mm, at, &byte, 1, &fault), 0);
	assert_int_equal(fault.signo, SIGSEGV);
	assert_int_equal(world.waits, 1);
}

static void a_pin_waits_for_memory(void **state)
{
	struct samara_pin pin[8];

	(void)state;
	at = mem_map(&m, 8, RW, MAP_PRIVATE, NULL);
	fill(1);
	assert_int_equal(samara_pin_pages(m.mm, at, 3, SAMARA_PIN_WRITE, pin), 3);
	assert_int_equal(world.waits, 1);
	samara_unpin_pages(pin, 3, 1);
	fill(0);
	world.meanwhile = unmap_all;
	assert_int_equal(samara_pin_pages(m.mm, at + 3 * MEM_PAGE, 1, SAMARA_PIN_WRITE, pin),
			 -EFAULT);
	assert_int_equal(world.waits, 1);
}

static void mmap_populates_all_after_waits(void **state)
{
	unsigned long a;

	(void)state;
	fill(3);
	a = mem_map(&m, 8, RW, MAP_PRIVATE | MAP_POPULATE, NULL);
	assert_int_equal(present(a, 8), 8);
	assert_int_equal(world.waits, 3);
	fill(0);
	assert_int_equal(samara_mlockall(m.mm, MCL_FUTURE), 0);
	a = mem_map(&m, 4, RW, MAP_PRIVATE, NULL);
	assert_int_equal(present(a, 4), 4);
	assert_int_equal(world.waits, 2);
	assert_int_equal(samara_munlockall(m.mm), 0);
}

static void mlock_populates_all_after_waits(void **state)
{
	(void)state;
	at = mem_map(&m, 8, RW, MAP_PRIVATE, NULL);
	fill(3);
	assert_int_equal(samara_mlock(m.mm, at, 8 * MEM_PAGE), 0);
	assert_int_equal(present(at, 8), 8);
	assert_int_equal(world.waits, 3);
	assert_int_equal(samara_munlock(m.mm, at, 8 * MEM_PAGE), 0);
}

static void mlock_finds_the_map_changed_after_its_wait(void **state)
{
	(void)state;
	at = mem_map(&m, 8, RW, MAP_PRIVATE, NULL);
	fill(3);
	world.meanwhile = unmap_end;
	assert_int_equal(samara_mlock(m.mm, at, 8 * MEM_PAGE), 0);
	assert_int_equal(present(at, 8), 3);
	at = mem_map(&m, 8, RW, MAP_PRIVATE, NULL);
	fill(3);
	world.meanwhile = forbid_end;
	assert_int_equal(samara_mlock(m.mm, at, 8 * MEM_PAGE), -ENOMEM);
	assert_int_equal(present(at, 8), 3);
	assert_int_equal(world.waits, 1);
}

static void madvise_populates_all_after_waits(void **state)
{
	(void)state;
	at = mem_map(&m, 8, RW, MAP_PRIVATE, NULL);
	fill(3);
	assert_int_equal(samara_madvise(m.mm, at, 8 * MEM_PAGE, MADV_POPULATE_WRITE), 0);
	assert_int_equal(present(at, 8), 8);
	assert_int_equal(world.waits, 3);
	at = mem_map(&m, 8, RW, MAP_PRIVATE, NULL);
	fill(3);
	world.meanwhile = unmap_end;
	assert_int_equal(samara_madvise(m.mm, at, 8 * MEM_PAGE, MADV_POPULATE_WRITE), -ENOMEM);
	assert_int_equal(present(at, 3), 3);
	at = mem_map(&m, 8, RW, MAP_PRIVATE, NULL);
	fill(3);
	world.meanwhile = forbid_end;
	assert_int_equal(samara_madvise(m.mm, at, 8 * MEM_PAGE, MADV_POPULATE_WRITE), -EINVAL);
	assert_int_equal(world.waits, 1);
}

static void brk_mremap_and_mprotect_populate_locked_memory_after_waits(void **state)
{
	const unsigned long brk = 1UL << 30;

	(void)state;
	at = mem_map(&m, 8, PROT_READ, MAP_PRIVATE, NULL);
	assert_int_equal(samara_mlock(m.mm, at, 8 * MEM_PAGE), 0);
	fill(3);
	assert_int_equal(samara_mprotect(m.mm, at, 8 * MEM_PAGE, RW), 0);
	assert_int_equal(mem_frames(&m), 256 - (8 - 3) % 2);
	for (unsigned long i = 0; i < 8; i++)
		assert_true(pte_write(mem_pte(&m, at + i * MEM_PAGE)));
	assert_int_equal(world.waits, 3);
	fill(0);
	at = samara_mremap(m.mm, at, 8 * MEM_PAGE, 12 * MEM_PAGE, MREMAP_MAYMOVE, 0);
	assert_false(SAMARA_IS_ERR_VALUE(at));
	assert_int_equal(present(at, 12), 12);
	assert_int_equal(world.waits, 2);
	fill(0);
	m.mm->layout.start_brk = m.mm->layout.brk = brk;
	assert_int_equal(samara_mlockall(m.mm, MCL_FUTURE), 0);
	assert_int_equal(samara_brk(m.mm, brk + 4 * MEM_PAGE), brk + 4 * MEM_PAGE);
	assert_int_equal(present(brk, 4), 4);
	assert_int_equal(samara_munlockall(m.mm), 0);
	assert_int_equal(world.waits, 2);
}

/* Only locked memory is brought in by a call that was not asked to. */
static void mprotect_populates_no_memory_between_locked_parts(void **state)
{
	(void)state;
	at = mem_map(&m, 6, PROT_READ, MAP_PRIVATE, NULL);
	assert_int_equal(samara_mlock(m.mm, at, 6 * MEM_PAGE), 0);
	assert_int_equal(samara_munlock(m.mm, at + 2 * MEM_PAGE, 2 * MEM_PAGE), 0);
	assert_int_equal(samara_madvise(m.mm, at + 2 * MEM_PAGE, 2 * MEM_PAGE, MADV_DONTNEED), 0);
	fill(0);
	assert_int_equal(samara_mprotect(m.mm, at, 6 * MEM_PAGE, RW), 0);
	assert_int_equal(present(at, 2), 2);
	assert_int_equal(present(at + 2 * MEM_PAGE, 2), 0);
	assert_true(pte_write(mem_pte(&m, at + 5 * MEM_PAGE)));
	assert_int_equal(samara_munlock(m.mm, at, 6 * MEM_PAGE), 0);
}

static void mlockall_goes_on_behind_what_cannot_be_accessed(void **state)
{
	(void)state;
	at = mem_map(&m, 6, RW, MAP_PRIVATE, NULL);
	assert_int_equal(samara_mprotect(m.mm, at + 2 * MEM_PAGE, 2 * MEM_PAGE, PROT_NONE), 0);
	fill(1);
	assert_int_equal(samara_mlockall(m.mm, MCL_CURRENT), 0);
	assert_int_equal(present(at, 2), 2);
	assert_int_equal(present(at + 2 * MEM_PAGE, 2), 0);
	assert_int_equal(present(at + 4 * MEM_PAGE, 2), 2);
	assert_int_equal(samara_munlockall(m.mm), 0);
}

static struct samara_file *file;

static void cut_file(void)
{
	assert_int_equal(samara_file_set_length(file, MEM_PAGE), 0);
}

static void append_to_file(void)
{
	assert_int_equal(samara_file_pwrite(file, "between", 7, 0), 7);
}

static void a_write_to_a_file_goes_on_after_its_wait(void **state)
{
	static char buf[6 * MEM_PAGE], back[sizeof(buf)];

	(void)state;
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(samara_file_memfd(m.machine, "a", 0, &file), 0);
	fill(3);
	assert_int_equal(samara_file_pwrite(file, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(world.waits, 2);
	assert_int_equal(samara_file_pread(file, back, sizeof(back), 0), sizeof(back));
	assert_memory_equal(buf, back, sizeof(buf));
	/* Cut short meanwhile: a hole, as two writes one after the other would leave. */
	assert_int_equal(samara_file_set_length(file, 0), 0);
	fill(3);
	world.meanwhile = cut_file;
	assert_int_equal(samara_file_pwrite(file, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(samara_file_pread(file, back, sizeof(back), 0), sizeof(back));
	memset(buf + MEM_PAGE, 0, 2 * MEM_PAGE);
	assert_memory_equal(buf, back, sizeof(buf));
	/* All that there is, and no more is to be got. */
	assert_int_equal(samara_file_set_length(file, 0), 0);
	fill(3);
	world.dry = true;
	assert_int_equal(samara_file_pwrite(file, buf, sizeof(buf), 0), 3 * MEM_PAGE);
	samara_file_put(file);
}

/* Only the pages of a host file are brought in by a read. */
static void a_read_of_a_file_goes_on_after_its_wait(void **state)
{
	static char buf[6 * MEM_PAGE], back[sizeof(buf)];
	const int fd = box_host_file(sizeof(buf));

	(void)state;
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(pwrite(fd, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
	fill(1);
	assert_int_equal(samara_file_pread(file, back, 3 * MEM_PAGE, 0), 3 * MEM_PAGE);
	assert_memory_equal(buf, back, 3 * MEM_PAGE);
	assert_int_equal(world.waits, 1);
	world.dry = true;
	assert_int_equal(samara_file_pread(file, back, sizeof(back), 0), 3 * MEM_PAGE);
	assert_int_equal(world.waits, 2);
	samara_file_put(file);
	close(fd);
}

static void what_is_appended_after_a_wait_overwrites_nothing(void **state)
{
	const unsigned int flags = SAMARA_FILE_READ | SAMARA_FILE_WRITE | SAMARA_FILE_O_APPEND;
	static char buf[MEM_PAGE + 1], back[sizeof(buf) + 100];
	struct samara_file *plain;

	(void)state;
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(samara_file_memfd(m.machine, "a", 0, &plain), 0);
	assert_int_equal(samara_file_reopen(plain, flags, &file), 0);
	assert_int_equal(samara_file_pwrite(file, "12", 2, 0), 2);
	fill(0);
	world.meanwhile = append_to_file;
	assert_int_equal(samara_file_pwrite(file, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(world.waits, 2);
	assert_int_equal(samara_file_pread(file, back, sizeof(back), 0), sizeof(buf) + 2 + 7);
	assert_memory_equal(back + MEM_PAGE, "betweenxxx", 10);
	assert_memory_equal(back + 2, buf, MEM_PAGE - 2);
	samara_file_put(file);
	samara_file_put(plain);
}

static void allow_copies(void)
{
	mem_map(&m, 1, PROT_READ, MAP_PRIVATE, NULL);
}

static void fork_begins_anew_after_its_wait(void **state)
{
	struct samara_pin pin[3];
	struct samara_mm *child;
	struct samara_fault fault;
	char byte = 5;

	(void)state;
	at = mem_map(&m, 3, RW, MAP_PRIVATE | MAP_POPULATE, NULL);
	assert_int_equal(samara_write(m.mm, at + MEM_PAGE, &byte, 1, &fault), 1);
	/* Pinned pages are copied for the child, which takes frames. */
	assert_int_equal(samara_pin_pages(m.mm, at, 3, SAMARA_PIN_WRITE, pin), 3);
	fill(1);
	world.meanwhile = allow_copies;
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_int_equal(world.waits, 1);
	byte = 0;
	assert_int_equal(samara_read(child, at + MEM_PAGE, &byte, 1, &fault), 1);
	assert_int_equal(byte, 5);
	/* What was mapped meanwhile is the child's too. */
	assert_int_equal(child->count.map_count, m.mm->count.map_count);
	samara_mm_exit(child);
	fill(1);
	world.dry = true;
	assert_int_equal(samara_fork(m.mm, &child), -ENOMEM);
	samara_unpin_pages(pin, 3, 1);
}

/* No freed frame helps where another thing is lacking: nothing is asked for, and nothing waits. */
static void what_lacks_no_frame_does_not_wait(void **state)
{
	static char buf[3 * MEM_PAGE];
	struct samara_fault fault;
	struct samara_mm *child;
	struct samara_pin pin;

	(void)state;
	at = mem_map(&m, 8, RW, MAP_PRIVATE, NULL);
	assert_int_equal(samara_file_memfd(m.machine, "a", 0, &file), 0);
	assert_int_equal(samara_inject_site("page_table", 1), 0);
	assert_int_equal(samara_write(m.mm, at, buf, 1, &fault), -ENOMEM);
	assert_int_equal(samara_inject_site("page_table", 1), 0);
	assert_int_equal(samara_pin_pages(m.mm, at, 1, SAMARA_PIN_WRITE, &pin), -ENOMEM);
	assert_int_equal(samara_inject_site("page_table", 1), 0);
	assert_int_equal(samara_madvise(m.mm, at, 8 * MEM_PAGE, MADV_POPULATE_WRITE), -ENOMEM);
	assert_int_equal(samara_inject_site("vma", 1), 0);
	assert_int_equal(samara_fork(m.mm, &child), -ENOMEM);
	assert_int_equal(samara_inject_site("maple_leaf", 1), 0);
	assert_int_equal(samara_file_pwrite(file, buf, sizeof(buf), 0), MEM_PAGE);
	assert_int_equal(world.waits, 0);
	samara_file_put(file);
	/* An operation that lacked a frame before this one is no reason to wait either. */
	fill(0);
	world.dry = true;
	assert_int_equal(samara_write(m.mm, at, buf, 1, &fault), -ENOMEM);
	assert_int_equal(world.waits, 1);
	assert_int_equal(samara_inject_site("vma", 1), 0);
	assert_int_equal(samara_fork(m.mm, &child), -ENOMEM);
	assert_int_equal(world.waits, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(an_access_waits_for_memory),
		TEST(an_access_finds_the_map_changed_after_its_wait),
		TEST(a_pin_waits_for_memory),
		TEST(mmap_populates_all_after_waits),
		TEST(mlock_populates_all_after_waits),
		TEST(mlock_finds_the_map_changed_after_its_wait),
		TEST(madvise_populates_all_after_waits),
		TEST(brk_mremap_and_mprotect_populate_locked_memory_after_waits),
		TEST(mprotect_populates_no_memory_between_locked_parts),
		TEST(mlockall_goes_on_behind_what_cannot_be_accessed),
		TEST(a_read_of_a_file_goes_on_after_its_wait),
		TEST(a_write_to_a_file_goes_on_after_its_wait),
		TEST(what_is_appended_after_a_wait_overwrites_nothing),
		TEST(fork_begins_anew_after_its_wait),
		TEST(what_lacks_no_frame_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
