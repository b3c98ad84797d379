/* SPDX-License-Identifier: MIT */
/*
 * The table of src/mmu/entry.h (kinds.c): requests of a userfaultfd.
 */
#include <errno.h>
#include <string.h>

#include "uffd/uffd.h"
#include "unit/range/kinds.h"

/* Registered for write protection by a userfaultfd that has asked for nothing else. */
static char uffd_protect(struct scene *s)
{
	struct samara_uffd uffd = { .features = UFFD_READY };
	char is;
	pte_t now;

	s->vma->vm_flags |= VM_UFFD_WP;
	s->vma->rare.uffd = &uffd;
	assert_int_equal(range_uffd_protect(s->vma, PG(0), PG(16)), 0);
	now = pte_of(s->vma->vm_mm, AT_PAGE);
	s->vma->rare.uffd = NULL;
	if (pte_marker(now) || !pte_any_uffd_wp(now))
		return letter(s, now);
	is = letter(s, swp_without(now, pte_migration(now) ? MIGRATION_UFFD_WP : SWP_UFFD_WP));
	return is == '=' ? 'W' : is == 'x' ? 'X' : '?';
}

static char uffd_unprotect(struct scene *s)
{
	uffd_protect(s);
	range_uffd_unprotect(s->vma, PG(0), PG(16));
	return letter_at(s, AT_PAGE);
}

/* What UFFDIO_MOVE answers, or what is at the new place. */
static char uffd_move(struct scene *s)
{
	struct uffd_move m = {
		.src = s->vma, .from = PG(AT_PAGE), .to = PG(2000), .len = WORLD_PAGE
	};
	int err;

	m.dst = s->child = world_vma(s->w, 2000, 2016, VM_RW, NULL);
	world_anon_vma(m.dst);
	err = uffd_move_pages(&m);
	if (m.busy)
		folio_put(s->w->ram, m.busy);
	if (err) {
		assert_int_equal(letter_at(s, AT_PAGE), '=');
		return err == -EFAULT ? 'f' : err == -EBUSY ? 'b' : err == -EAGAIN ? 'a' : '?';
	}
	assert_true(pte_none(pte_of(s->vma->vm_mm, AT_PAGE)));
	return letter_at(s, 2000);
}

static char fill(struct scene *s, enum fill_kind kind)
{
	struct folio *folio = folio_alloc(s->w->ram, 0, FOLIO_RAW);
	struct fill_desc d = {
		.vma = s->vma, .addr = PG(AT_PAGE), .pages = 1, .kind = kind, .folio = &folio
	};
	unsigned int done;
	int err;

	assert_non_null(folio);
	memset(folio_virt(s->w->ram, folio), BYTE, WORLD_PAGE);
	done = range_fill(&d, &err);
	assert_int_equal(err, done ? 0 : -EEXIST);
	if (folio)
		folio_put(s->w->ram, folio);
	return letter_at(s, AT_PAGE);
}

static char fill_copy(struct scene *s)
{
	return fill(s, FILL_COPY);
}

static char fill_zero(struct scene *s)
{
	return fill(s, FILL_ZERO);
}

static char fill_poison(struct scene *s)
{
	return fill(s, FILL_POISON);
}

static const struct row rows[] = {
	{ "uffd protect", uffd_protect, false, "===WXWWWW" },
	{ "uffd unprotect", uffd_unprotect, false, "==-=x====" },
	{ "uffd move", uffd_move, true, "fffaaa.b=" },
	{ "fill, copy", fill_copy, false, "ppp======" },
	{ "fill, zeros", fill_zero, false, "=========" },
	{ "fill, poison", fill_poison, false, "=========" },
};

static void each_request_meets_each_kind(void **state)
{
	meet_all(*state, rows, sizeof(rows) / sizeof(rows[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_request_meets_each_kind, world_up, world_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
