/* SPDX-License-Identifier: MIT */
/*
 * <samara/backend.h>: what translations say.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/file.h>
#include <samara/uffd.h>

#include "support/cmocka_all.h"
#include "support/forked.h"
#include "support/mem.h"
#include "support/translations.h"

MEM_FIXTURE(m, 16UL << 20);

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define R SAMARA_RIGHT_READ
#define W SAMARA_RIGHT_WRITE
#define X SAMARA_RIGHT_EXEC

static struct samara_ram_info ram_info(void)
{
	struct samara_ram_info info = { .size = sizeof(info) };

	assert_int_equal(samara_ram(m.machine, &info), 0);
	return info;
}

static unsigned char *frame(const struct samara_translation *t)
{
	const struct samara_ram_info info = ram_info();

	assert_true((t->pfn + 1) << info.page_shift <= info.bytes);
	return (unsigned char *)info.base + (t->pfn << info.page_shift);
}

/* ram ------------------------------------------------------------------------------ */

static void the_descriptor_is_what_base_shows(void **state)
{
	const struct samara_ram_info info = ram_info();
	struct samara_translation t;
	unsigned char byte = 0;
	const unsigned long addr = mem_map(&m, 1, RW, ANON, NULL);

	(void)state;
	assert_int_equal(info.page_shift, 12);
	assert_true(fcntl(info.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(samara_write(m.mm, addr + 5, "z", 1, NULL), 1);
	t = fault_in(m.mm, addr, SAMARA_ACCESS_READ);
	assert_int_equal(frame(&t)[5], 'z');
	assert_int_equal(pread(info.fd, &byte, 1, (off_t)(t.pfn << info.page_shift) + 5), 1);
	assert_int_equal(byte, 'z');
	assert_int_equal(ram_info().fd, info.fd);
}

static void ram_knows_older_and_newer_callers(void **state)
{
	struct {
		struct samara_ram_info info;
		unsigned long more;
	} newer = { .info.size = sizeof(newer), .more = 1 };
	struct samara_ram_info older = { .size = offsetof(struct samara_ram_info, bytes),
					 .bytes = 9 };

	(void)state;
	assert_int_equal(samara_ram(m.machine, &newer.info), 0);
	assert_int_equal(newer.more, 0);
	assert_int_equal(samara_ram(m.machine, &older), 0);
	assert_int_equal(older.bytes, 9);
	assert_ptr_equal(older.base, newer.info.base);
	older.size = 0;
	assert_int_equal(samara_ram(m.machine, &older), -EINVAL);
}

/* fault in ------------------------------------------------------------------------- */

static void a_right_to_write_comes_with_the_first_write(void **state)
{
	const unsigned long addr = mem_map(&m, 2, RW, ANON, NULL);
	struct samara_translation t = fault_in(m.mm, addr + 17, SAMARA_ACCESS_READ), u;

	(void)state;
	assert_int_equal(t.addr, addr);
	assert_int_equal(t.rights, R);
	assert_int_equal(t.pfn, 0);
	assert_int_equal(t.flags, SAMARA_TRANSLATION_ZEROS);
	assert_int_equal(t.vma_start, addr);
	assert_int_equal(t.vma_end, addr + 2 * MEM_PAGE);
	assert_true(t.vm_flags & VM_WRITE);
	u = fault_in(m.mm, addr, SAMARA_ACCESS_WRITE);
	assert_int_equal(u.rights, R | W);
	assert_int_not_equal(u.pfn, 0);
	assert_int_equal(u.flags, 0);
	assert_int_equal(samara_translation_stale(m.mm, &t), 1);
	assert_int_equal(samara_translation_stale(m.mm, &u), 0);
	/* What a program writes into the frame is in the mm. */
	memcpy(frame(&u), "native", 7);
	assert_int_equal(samara_read(m.mm, addr, &(char[7]){ 0 }, 7, NULL), 7);
	assert_string_equal((char *)mem_bytes(&m, addr), "native");
}

static void a_clean_page_has_no_right_to_write(void **state)
{
	const unsigned long addr = mem_map(&m, 1, RW, ANON, NULL);
	struct samara_translation t = fault_in(m.mm, addr, SAMARA_ACCESS_WRITE);

	(void)state;
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_FREE), 0);
	assert_int_equal(samara_translation_stale(m.mm, &t), 1);
	assert_int_equal(seen(m.mm, addr).rights, R);
	assert_int_equal(fault_in(m.mm, addr, SAMARA_ACCESS_READ).rights, R);
	assert_int_equal(fault_in(m.mm, addr, SAMARA_ACCESS_WRITE).rights, R | W);
}

static void a_fault_says_what_the_kernel_would_send(void **state)
{
	const unsigned long addr = mem_map(&m, 1, PROT_READ, ANON, NULL);
	struct samara_translation t = { .seq = 77 };
	struct samara_fault fault;

	(void)state;
	assert_int_equal(samara_fault_in(m.mm, addr, SAMARA_ACCESS_WRITE, 0, &t, &fault), -EFAULT);
	assert_int_equal(fault.signo, SIGSEGV);
	assert_int_equal(fault.code, SEGV_ACCERR);
	assert_int_equal(samara_fault_in(m.mm, addr, SAMARA_ACCESS_EXEC, 0, &t, &fault), -EFAULT);
	assert_int_equal(fault.code, SEGV_ACCERR);
	assert_int_equal(samara_munmap(m.mm, addr, MEM_PAGE), 0);
	assert_int_equal(samara_fault_in(m.mm, addr + 3, SAMARA_ACCESS_READ, 0, &t, &fault),
			 -EFAULT);
	assert_int_equal(fault.code, SEGV_MAPERR);
	assert_int_equal(fault.addr, addr + 3);
	assert_int_equal(t.seq, 77);
	assert_int_equal(samara_fault_in(m.mm, ~0UL, SAMARA_ACCESS_READ, 0, &t, NULL), -EFAULT);
	assert_int_equal(samara_fault_in(m.mm, addr, SAMARA_ACCESS_KINDS, 0, &t, NULL), -EINVAL);
	assert_int_equal(samara_fault_in(m.mm, addr, SAMARA_ACCESS_READ, 1, &t, NULL), -EINVAL);
}

static void a_stack_grows_for_its_own_process_alone(void **state)
{
	const unsigned long addr = 1UL << 40;
	struct samara_translation t;

	(void)state;
	assert_int_equal(samara_mmap(m.mm, addr, MEM_PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN,
				     NULL, 0),
			 addr);
	assert_int_equal(samara_fault_in(m.mm, addr - 1, SAMARA_ACCESS_WRITE, SAMARA_NOGROW, &t,
					 NULL),
			 -EFAULT);
	t = fault_in(m.mm, addr - 1, SAMARA_ACCESS_WRITE);
	assert_int_equal(t.addr, addr - MEM_PAGE);
	assert_int_equal(t.vma_start, addr - MEM_PAGE);
}

static void a_handler_is_told_by_one_that_does_not_wait(void **state)
{
	const unsigned long addr = mem_map(&m, 1, RW, ANON, NULL);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register all = { .range = { addr, MEM_PAGE },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = { .range = { addr, MEM_PAGE } };
	struct samara_translation t;
	struct samara_uffd *uffd;
	struct uffd_msg msg;

	(void)state;
	assert_int_equal(samara_uffd_create(m.mm, O_NONBLOCK, &uffd), 0);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_API, &api), 0);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_REGISTER, &all), 0);
	assert_int_equal(samara_fault_in(m.mm, addr, SAMARA_ACCESS_READ, SAMARA_NOWAIT, &t, NULL),
			 -EAGAIN);
	assert_int_equal(samara_uffd_read(uffd, &msg, sizeof(msg)), sizeof(msg));
	assert_int_equal(msg.arg.pagefault.address, addr);
	assert_int_equal(samara_uffd_ioctl(uffd, UFFDIO_ZEROPAGE, &zero), 0);
	assert_int_equal(fault_in(m.mm, addr, SAMARA_ACCESS_READ).rights, R);
	samara_uffd_put(uffd);
}

static void unsharing_makes_the_page_its_own(void **state)
{
	const unsigned long addr = mem_map(&m, 1, RW, ANON, NULL);
	struct samara_translation shared, own;
	struct samara_mm *child;

	(void)state;
	assert_int_equal(samara_write(m.mm, addr, "p", 1, NULL), 1);
	assert_int_equal(samara_fork(m.mm, &child), 0);
	shared = fault_in(m.mm, addr, SAMARA_ACCESS_READ);
	assert_int_equal(samara_fault_in(m.mm, addr, SAMARA_ACCESS_READ, SAMARA_FAULT_IN_UNSHARE,
					 &own, NULL),
			 0);
	assert_int_not_equal(own.pfn, shared.pfn);
	assert_int_equal(own.rights, R);
	assert_int_equal(samara_translation_stale(m.mm, &shared), 1);
	assert_int_equal(*frame(&own), 'p');
	/* And it stays there when it is written to. */
	assert_int_equal(fault_in(m.mm, addr, SAMARA_ACCESS_WRITE).pfn, own.pfn);
	samara_mm_exit(child);
	/* The zero frame and a file's page are nobody's own either. */
	assert_int_equal(samara_madvise(m.mm, addr, MEM_PAGE, MADV_DONTNEED), 0);
	assert_int_equal(samara_fault_in(m.mm, addr, SAMARA_ACCESS_READ, SAMARA_FAULT_IN_UNSHARE,
					 &own, NULL),
			 0);
	assert_int_not_equal(own.pfn, 0);
}

/* A host file of four pages; the second begins with 2. */
static struct samara_file *host_file(void)
{
	const int fd = memfd_create("four", MFD_CLOEXEC);
	struct samara_file *file;

	assert_int_equal(ftruncate(fd, 4 * MEM_PAGE), 0);
	assert_int_equal(pwrite(fd, "\2", 1, MEM_PAGE), 1);
	assert_int_equal(samara_file_from_fd(m.machine, fd, &file), 0);
	close(fd);
	return file;
}

static void a_files_page_says_so(void **state)
{
	struct samara_file *file = host_file();
	const unsigned long shared = mem_map(&m, 4, RW, MAP_SHARED, file),
			    private = mem_map(&m, 4, RW, MAP_PRIVATE, file);
	struct samara_translation s = fault_in(m.mm, shared + MEM_PAGE, SAMARA_ACCESS_READ),
				  p = fault_in(m.mm, private + MEM_PAGE, SAMARA_ACCESS_READ), u;

	(void)state;
	assert_int_equal(s.flags, SAMARA_TRANSLATION_FILE);
	assert_int_equal(s.pfn, p.pfn);
	assert_int_equal(*frame(&s), 2);
	assert_int_equal(s.rights, R);
	s = fault_in(m.mm, shared + MEM_PAGE, SAMARA_ACCESS_WRITE);
	assert_int_equal(s.rights, R | W);
	/* Write-back cleans it: the next store has to be seen. */
	assert_int_equal(samara_msync(m.mm, shared, 4 * MEM_PAGE, MS_SYNC), 0);
	assert_int_equal(samara_translation_stale(m.mm, &s), 1);
	assert_int_equal(seen(m.mm, shared + MEM_PAGE).rights, R);
	u = fault_in(m.mm, private + MEM_PAGE, SAMARA_ACCESS_WRITE);
	assert_int_equal(u.flags, 0);
	assert_int_not_equal(u.pfn, s.pfn);
	samara_file_put(file);
	assert_int_equal(samara_munmap(m.mm, shared, 4 * MEM_PAGE), 0);
	assert_int_equal(samara_munmap(m.mm, private, 4 * MEM_PAGE), 0);
}

/* translate ------------------------------------------------------------------------ */

static void a_look_faults_nothing_and_counts_as_no_use(void **state)
{
	const unsigned long addr = mem_map(&m, 5, RW, ANON, NULL);
	struct samara_translation t[7];
	const unsigned long frames = mem_frames(&m);

	(void)state;
	assert_int_equal(samara_translate(m.mm, addr - MEM_PAGE, 7, t), 7);
	assert_int_equal(mem_frames(&m), frames);
	for (int i = 0; i < 7; i++) {
		assert_int_equal(t[i].addr, addr + (unsigned long)(i - 1) * MEM_PAGE);
		assert_int_equal(t[i].pfn, SAMARA_NO_FRAME);
		assert_int_equal(t[i].rights, 0);
		assert_int_equal(t[i].vma_start, i && i < 6 ? addr : 0);
	}
	fault_in(m.mm, addr, SAMARA_ACCESS_WRITE);
	fault_in(m.mm, addr + 2 * MEM_PAGE, SAMARA_ACCESS_READ);
	assert_int_equal(
		samara_mprotect(m.mm, addr + 3 * MEM_PAGE, MEM_PAGE, PROT_READ | PROT_EXEC), 0);
	fault_in(m.mm, addr + 3 * MEM_PAGE, SAMARA_ACCESS_EXEC);
	fault_in(m.mm, addr + 4 * MEM_PAGE, SAMARA_ACCESS_WRITE);
	assert_int_equal(samara_mprotect(m.mm, addr + 4 * MEM_PAGE, MEM_PAGE, PROT_NONE), 0);
	assert_int_equal(samara_translate(m.mm, addr, 5, t), 5);
	assert_int_equal(t[0].rights, R | W);
	assert_int_equal(t[1].pfn, SAMARA_NO_FRAME);
	assert_int_equal(t[2].rights, R);
	assert_int_equal(t[3].rights, R | X);
	assert_int_equal(t[3].vma_start, addr + 3 * MEM_PAGE);
	assert_int_equal(t[4].rights, 0);
	assert_int_not_equal(t[4].pfn, SAMARA_NO_FRAME);
	for (int i = 0; i < 5; i++)
		assert_int_equal(samara_translation_stale(m.mm, &t[i]), 0);
}

static void a_look_crosses_leaves_and_mappings(void **state)
{
	const unsigned long leaf = 512 * MEM_PAGE, at = 3 * 512 * leaf - 2 * MEM_PAGE;
	static struct samara_translation t[520];

	(void)state;
	assert_int_equal(samara_mmap(m.mm, at, 516 * MEM_PAGE, RW, ANON | MAP_FIXED, NULL, 0), at);
	for (unsigned long i = 0; i < 516; i += 103)
		fault_in(m.mm, at + i * MEM_PAGE, SAMARA_ACCESS_WRITE);
	assert_int_equal(samara_translate(m.mm, at, 520, t), 520);
	for (unsigned long i = 0; i < 520; i++) {
		assert_int_equal(t[i].addr, at + i * MEM_PAGE);
		assert_int_equal(t[i].rights, i < 516 && i % 103 == 0 ? R | W : 0);
		assert_int_equal(t[i].vma_end, i < 516 ? at + 516 * MEM_PAGE : 0);
	}
}

static void senseless_ranges_are_refused(void **state)
{
	const unsigned long top = m.mm->geo->task_size;
	struct samara_translation t;

	(void)state;
	assert_int_equal(samara_translate(m.mm, 1, 1, &t), -EINVAL);
	assert_int_equal(samara_translate(m.mm, 0, 0, &t), -EINVAL);
	assert_int_equal(samara_translate(m.mm, top, 1, &t), -EINVAL);
	assert_int_equal(samara_translate(m.mm, top - MEM_PAGE, 2, &t), -EINVAL);
	assert_int_equal(samara_translate(m.mm, MEM_PAGE, ~0UL, &t), -EINVAL);
	assert_int_equal(samara_translate(m.mm, MEM_PAGE, ~0UL / MEM_PAGE + 1, &t), -EINVAL);
	assert_int_equal(samara_translate(m.mm, top - MEM_PAGE, 1, &t), 1);
}

/* elsewhere ------------------------------------------------------------------------ */

static void in_a_child_of_the_process(void *arg)
{
	struct samara_translation *t = arg;
	struct samara_ram_info info = { .size = sizeof(info) };

	_exit(samara_translation_stale(m.mm, t) == 1 && samara_ram(m.machine, &info) == -ESRCH &&
			      samara_translate(m.mm, t->addr, 1, t) == -ESRCH &&
			      samara_fault_in(m.mm, t->addr, SAMARA_ACCESS_READ, 0, t, NULL) ==
				      -ESRCH ?
		      7 :
		      8);
}

static void a_child_of_the_process_is_refused(void **state)
{
	struct samara_translation t =
		fault_in(m.mm, mem_map(&m, 1, RW, ANON, NULL), SAMARA_ACCESS_WRITE);
	struct forked child;

	(void)state;
	run_forked(in_a_child_of_the_process, &t, &child);
	assert_int_equal(child.status, 7);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_descriptor_is_what_base_shows),
		TEST(ram_knows_older_and_newer_callers),
		TEST(a_right_to_write_comes_with_the_first_write),
		TEST(a_clean_page_has_no_right_to_write),
		TEST(a_fault_says_what_the_kernel_would_send),
		TEST(a_stack_grows_for_its_own_process_alone),
		TEST(a_handler_is_told_by_one_that_does_not_wait),
		TEST(unsharing_makes_the_page_its_own),
		TEST(a_files_page_says_so),
		TEST(a_look_faults_nothing_and_counts_as_no_use),
		TEST(a_look_crosses_leaves_and_mappings),
		TEST(senseless_ranges_are_refused),
		TEST(a_child_of_the_process_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
