/* SPDX-License-Identifier: MIT */
/*
 * Pins: what can be pinned, and that the pinned page stays the one the process sees.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "support/cmocka_all.h"
#include "support/mem.h"

#define RW (PROT_READ | PROT_WRITE)

MEM_FIXTURE(m, 2 << 20);

static void put_byte(struct samara_mm *mm, unsigned long addr, char c)
{
	assert_int_equal(samara_write(mm, addr, &c, 1, NULL), 1);
}

static char get_byte(struct samara_mm *mm, unsigned long addr)
{
	char c;

	assert_int_equal(samara_read(mm, addr, &c, 1, NULL), 1);
	return c;
}

static char pinned(const struct samara_pin *pin)
{
	return *(const char *)pin->host;
}

static void a_pin_to_write_faults_the_pages_in(void **state)
{
	const unsigned long a = mem_map(&m, 3, RW, MAP_PRIVATE, NULL);
	struct samara_pin pin[3];

	(void)state;
	assert_int_equal(samara_pin_pages(m.mm, a, 3, SAMARA_PIN_WRITE, pin), 3);
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(pin[i].host, mem_bytes(&m, a + (unsigned long)i * MEM_PAGE));
		assert_int_equal(pin[i].pfn, pte_pfn(mem_pte(&m, a + (unsigned long)i * MEM_PAGE)));
		assert_true(folio_maybe_pinned(mem_folio(&m, a + (unsigned long)i * MEM_PAGE)));
	}
	*(char *)pin[1].host = 'd';
	assert_int_equal(get_byte(m.mm, a + MEM_PAGE), 'd');
	samara_unpin_pages(pin, 3, 1);
	assert_false(folio_maybe_pinned(mem_folio(&m, a)));
	assert_int_equal(folio_refs(mem_folio(&m, a)), 0);
	assert_true(folio_test(mem_folio(&m, a), FOLIO_DIRTY));
}

static void a_pinned_page_outlives_its_mapping_and_its_process(void **state)
{
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	struct samara_pin pin[2];
	struct samara_mm *mm;

	(void)state;
	put_byte(m.mm, a, 'u');
	assert_int_equal(samara_pin_pages(m.mm, a, 1, 0, &pin[0]), 1);
	assert_int_equal(samara_munmap(m.mm, a, 2 * MEM_PAGE), 0);
	assert_int_equal(pinned(&pin[0]), 'u');

	assert_int_equal(samara_mm_create(m.machine, &mm), 0);
	assert_int_equal(samara_mmap(mm, a, MEM_PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				     NULL, 0),
			 a);
	put_byte(mm, a, 'v');
	assert_int_equal(samara_pin_pages(mm, a, 1, SAMARA_PIN_LONGTERM, &pin[1]), 1);
	samara_mm_exit(mm);
	assert_int_equal(pinned(&pin[1]), 'v');
	assert_int_equal(mem_frames(&m), 2);
	samara_unpin_pages(pin, 2, 0);
	assert_int_equal(mem_frames(&m), 0);
}

static void a_short_pin_to_read_takes_the_zero_frame_a_long_one_does_not(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	struct samara_pin pin;

	(void)state;
	assert_int_equal(samara_pin_pages(m.mm, a, 1, 0, &pin), 1);
	assert_int_equal(pin.pfn, ZERO_FRAME);
	samara_unpin_pages(&pin, 1, 0);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, SAMARA_PIN_LONGTERM, &pin), 1);
	assert_int_not_equal(pin.pfn, ZERO_FRAME);
	assert_false(pte_write(mem_pte(&m, a)));
	put_byte(m.mm, a, 'x');
	assert_int_equal(pinned(&pin), 'x');
	samara_unpin_pages(&pin, 1, 0);
}

static void a_long_pin_of_a_private_file_page_is_of_the_processs_own(void **state)
{
	struct samara_file *file = mem_file(&m, 2);
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, file);
	struct samara_pin pin[2];

	(void)state;
	assert_int_equal(samara_pin_pages(m.mm, a, 2, SAMARA_PIN_LONGTERM, pin), 2);
	for (unsigned long i = 0; i < 2; i++) {
		assert_true(folio_test(mem_folio(&m, a + i * MEM_PAGE), FOLIO_EXCLUSIVE));
		assert_int_equal(pinned(&pin[i]), (char)(i + 1));
		put_byte(m.mm, a + i * MEM_PAGE, 'p');
		assert_int_equal(pinned(&pin[i]), 'p');
	}
	samara_unpin_pages(pin, 2, 0);
	samara_file_put(file);
}

static void a_shared_page_is_unshared_before_it_is_pinned(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	struct samara_pin pin;
	struct folio *old;

	(void)state;
	put_byte(m.mm, a, 's');
	old = mem_folio(&m, a);
	mem_share(&m, a);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, 0, &pin), 1);
	assert_ptr_not_equal(pin.host, folio_virt(m.machine->ram, old));
	assert_int_equal(pinned(&pin), 's');
	put_byte(m.mm, a, 't');
	assert_int_equal(pinned(&pin), 't');
	samara_unpin_pages(&pin, 1, 0);
	mem_unshare(&m, old);
}

/* Pinned before the fork: the parent goes on with the pinned page, the child has a copy. */
static void a_pinned_page_stays_the_parents_through_fork(void **state)
{
	static const unsigned int flags[] = { 0, SAMARA_PIN_LONGTERM, SAMARA_PIN_WRITE,
					      SAMARA_PIN_WRITE | SAMARA_PIN_LONGTERM };
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct samara_mm *child;
		struct samara_pin pin;

		put_byte(m.mm, a, 'a');
		put_byte(m.mm, a + MEM_PAGE, 'b');
		assert_int_equal(samara_pin_pages(m.mm, a, 1, flags[i], &pin), 1);
		assert_int_equal(samara_fork(m.mm, &child), 0);
		put_byte(m.mm, a, 'c');
		assert_int_equal(pinned(&pin), 'c');
		assert_int_equal(get_byte(child, a), 'a');
		put_byte(child, a, 'd');
		put_byte(child, a + MEM_PAGE, 'e');
		assert_int_equal(pinned(&pin), 'c');
		assert_int_equal(get_byte(m.mm, a), 'c');
		assert_int_equal(get_byte(m.mm, a + MEM_PAGE), 'b');
		samara_mm_exit(child);
		assert_int_equal(pinned(&pin), 'c');
		samara_unpin_pages(&pin, 1, 0);
	}
}

/* Pinned after the fork: whoever pins gets a page of his own, whichever of the two writes. */
static void a_page_shared_by_fork_is_pinned_as_ones_own(void **state)
{
	const unsigned long a = mem_map(&m, 2, RW, MAP_PRIVATE, NULL);
	struct samara_pin pin[2];
	struct samara_mm *child;

	(void)state;
	put_byte(m.mm, a, 'a');
	put_byte(m.mm, a + MEM_PAGE, 'b');
	assert_int_equal(samara_fork(m.mm, &child), 0);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, 0, &pin[0]), 1);
	assert_int_equal(samara_pin_pages(child, a + MEM_PAGE, 1, SAMARA_PIN_LONGTERM, &pin[1]), 1);
	put_byte(child, a, 'c');
	put_byte(m.mm, a, 'd');
	put_byte(m.mm, a + MEM_PAGE, 'e');
	put_byte(child, a + MEM_PAGE, 'f');
	assert_int_equal(pinned(&pin[0]), 'd');
	assert_int_equal(pinned(&pin[1]), 'f');
	assert_int_equal(get_byte(child, a), 'c');
	assert_int_equal(get_byte(m.mm, a + MEM_PAGE), 'e');
	samara_mm_exit(child);
	samara_unpin_pages(pin, 2, 0);
}

static void rights_are_those_of_the_mapping(void **state)
{
	static const struct {
		int prot, flags;
		unsigned int pin;
		int ret;
	} rows[] = {
		{ PROT_NONE, MAP_PRIVATE, 0, -EFAULT },
		{ PROT_NONE, MAP_PRIVATE, SAMARA_PIN_FORCE, 1 },
		{ PROT_NONE, MAP_PRIVATE, SAMARA_PIN_FORCE | SAMARA_PIN_WRITE, 1 },
		{ PROT_READ, MAP_PRIVATE, 0, 1 },
		{ PROT_READ, MAP_PRIVATE, SAMARA_PIN_WRITE, -EFAULT },
		{ PROT_READ, MAP_PRIVATE, SAMARA_PIN_WRITE | SAMARA_PIN_FORCE, 1 },
		{ PROT_WRITE, MAP_PRIVATE, 0, -EFAULT }, /* unlike a CPU */
		{ PROT_WRITE, MAP_PRIVATE, SAMARA_PIN_WRITE, 1 },
		{ PROT_EXEC, MAP_PRIVATE, 0, -EFAULT },
		{ PROT_READ, MAP_SHARED, SAMARA_PIN_WRITE | SAMARA_PIN_FORCE, -EFAULT },
		{ RW, MAP_SHARED, SAMARA_PIN_WRITE | SAMARA_PIN_LONGTERM, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const unsigned long a = mem_map(&m, 1, rows[i].prot, rows[i].flags, NULL);
		struct samara_pin pin;

		assert_int_equal(samara_pin_pages(m.mm, a, 1, rows[i].pin, &pin), rows[i].ret);
		if (rows[i].ret == 1) {
			assert_int_equal(pin.pfn, pte_pfn(mem_pte(&m, a)));
			if (!(rows[i].prot & PROT_WRITE))
				assert_false(pte_write(mem_pte(&m, a)));
			samara_unpin_pages(&pin, 1, 0);
		}
		assert_int_equal(samara_munmap(m.mm, a, MEM_PAGE), 0);
	}
}

static void a_file_that_is_written_back_is_not_pinned_for_long_to_write(void **state)
{
	FILE *f = tmpfile();
	struct samara_file *host;
	struct samara_pin pin;
	unsigned long a;

	(void)state;
	assert_int_equal(fwrite("host", 1, 4, f), 4);
	assert_int_equal(fflush(f), 0);
	assert_int_equal(samara_file_from_fd(m.machine, fileno(f), &host), 0);
	a = mem_map(&m, 1, RW, MAP_SHARED, host);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, SAMARA_PIN_WRITE | SAMARA_PIN_LONGTERM, &pin),
			 -EFAULT);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, SAMARA_PIN_WRITE, &pin), 1);
	memcpy(pin.host, "pins", 4);
	samara_unpin_pages(&pin, 1, 1);
	assert_int_equal(samara_msync(m.mm, a, MEM_PAGE, MS_SYNC), 0);
	rewind(f);
	char now[4];
	assert_int_equal(fread(now, 1, 4, f), 4);
	assert_memory_equal(now, "pins", 4);
	samara_file_put(host);
	fclose(f);
}

static void as_many_as_can_be_are_pinned(void **state)
{
	const unsigned long a = mem_map(&m, 4, RW, MAP_PRIVATE, NULL);
	struct samara_pin pin[4];

	(void)state;
	assert_int_equal(samara_munmap(m.mm, a + 2 * MEM_PAGE, MEM_PAGE), 0);
	assert_int_equal(samara_pin_pages(m.mm, a, 4, SAMARA_PIN_WRITE, pin), 2);
	samara_unpin_pages(pin, 2, 0);
	assert_int_equal(samara_pin_pages(m.mm, a + 2 * MEM_PAGE, 2, 0, pin), -EFAULT);
	assert_int_equal(samara_pin_pages(m.mm, a, 0, 0, NULL), 0);
	assert_int_equal(samara_pin_pages(m.mm, a + 1, 1, 0, pin), -EINVAL);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, 1 << 20, pin), -EINVAL);
	assert_int_equal(samara_pin_pages(m.mm, 0x7ffffffff000, 1, 0, pin), -EFAULT);
	assert_int_equal(samara_pin_pages(m.mm, ~(MEM_PAGE - 1), 3, 0, pin), -EFAULT);
}

static void stacks_do_not_grow_and_poison_is_not_pinned(void **state)
{
	const unsigned long s = 1UL << 40;
	struct samara_pin pin;

	(void)state;
	assert_int_equal(samara_mmap(m.mm, s, MEM_PAGE, RW,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, NULL,
				     0),
			 s);
	assert_int_equal(samara_pin_pages(m.mm, s - MEM_PAGE, 1, SAMARA_PIN_WRITE, &pin), -EFAULT);
	assert_int_equal(mem_vma(&m, s)->vm_start, s);
	mem_mark(&m, s, MARKER_POISON);
	assert_int_equal(samara_pin_pages(m.mm, s, 1, SAMARA_PIN_WRITE, &pin), -EFAULT);
	assert_int_equal(samara_munmap(m.mm, s, MEM_PAGE), 0);
}

static void a_page_can_be_pinned_only_so_often(void **state)
{
	const unsigned long a = mem_map(&m, 1, RW, MAP_PRIVATE, NULL);
	static struct samara_pin pins[1 << 14];
	long n = 0;

	(void)state;
	while (samara_pin_pages(m.mm, a, 1, SAMARA_PIN_WRITE, &pins[n]) == 1)
		n++;
	assert_in_range(n, 1000, (1 << 14) - 1);
	assert_int_equal(samara_pin_pages(m.mm, a, 1, SAMARA_PIN_WRITE, &pins[n]), -ENOMEM);
	assert_int_equal(folio_maps(mem_folio(&m, a)), 1);
	samara_unpin_pages(pins, (unsigned long)n, 0);
	assert_int_equal(folio_count(mem_folio(&m, a)), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(a_pin_to_write_faults_the_pages_in),
		TEST(a_pinned_page_outlives_its_mapping_and_its_process),
		TEST(a_short_pin_to_read_takes_the_zero_frame_a_long_one_does_not),
		TEST(a_long_pin_of_a_private_file_page_is_of_the_processs_own),
		TEST(a_shared_page_is_unshared_before_it_is_pinned),
		TEST(a_pinned_page_stays_the_parents_through_fork),
		TEST(a_page_shared_by_fork_is_pinned_as_ones_own),
		TEST(rights_are_those_of_the_mapping),
		TEST(a_file_that_is_written_back_is_not_pinned_for_long_to_write),
		TEST(as_many_as_can_be_are_pinned),
		TEST(stacks_do_not_grow_and_poison_is_not_pinned),
		TEST(a_page_can_be_pinned_only_so_often),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
