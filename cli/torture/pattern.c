/* SPDX-License-Identifier: MIT */
/*
 * What pages hold: patterns that name their page.
 *
 *   id    63 ........ 8  7 .... 0
 *         a number       page within its slot
 */
#include "torture/torture.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <samara/inject.h>

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* What mix() makes z of. */
static uint64_t unmix(uint64_t z)
{
	z = (z ^ (z >> 31) ^ (z >> 62)) * UINT64_C(0x319642b2d24d8ec3);
	z = (z ^ (z >> 27) ^ (z >> 54)) * UINT64_C(0x96de1b173f119089);
	return z ^ (z >> 30) ^ (z >> 60);
}

unsigned long roll(struct worker *w, unsigned long n)
{
	w->random += UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned long)(((mix(w->random) >> 32) * n) >> 32);
}

void wrong(struct worker *w, const char *fmt, ...)
{
	struct torture *t = w->t;
	va_list args;
	int len;

	pthread_mutex_lock(&t->wrong.lock);
	if (!t->wrong.text[0]) {
		len = snprintf(t->wrong.text, sizeof(t->wrong.text), "%s: ", op_names[w->now]);
		va_start(args, fmt);
		vsnprintf(t->wrong.text + len, sizeof(t->wrong.text) - (size_t)len, fmt, args);
		va_end(args);
	}
	pthread_mutex_unlock(&t->wrong.lock);
	__atomic_store_n(&t->stop, true, __ATOMIC_RELAXED);
}

bool again(struct worker *w, long ret)
{
	if (w->t->handlers && ret == -EAGAIN)
		return true;
	if (!w->armed || (ret != -ENOMEM && ret != -EAGAIN))
		return false;
	samara_inject_nth(0);
	w->armed = false;
	w->refused++;
	return true;
}

bool ran_out(struct worker *w, long ret)
{
	if (!w->t->asked.ram || ret != -ENOMEM)
		return false;
	w->ran_out++;
	return true;
}

uint64_t new_id(struct torture *t, unsigned int page)
{
	return (__atomic_add_fetch(&t->next_id, 1, __ATOMIC_RELAXED) << 8) | page;
}

void fill(uint64_t *words, uint64_t id)
{
	words[0] = id;
	for (size_t i = 1; i < WORDS; i++)
		words[i] = id ? mix(id + i) : 0;
}

bool holds(const uint64_t *words, uint64_t id)
{
	if (words[0] != id)
		return false;
	for (size_t i = 1; i < WORDS; i++)
		if (words[i] != (id ? mix(id + i) : 0))
			return false;
	return true;
}

bool holds_any(const uint64_t *words, unsigned int page)
{
	return holds(words, words[0]) && (!words[0] || (words[0] & 0xff) == page);
}

bool each_holds_any(const struct torture *t, const uint64_t *words, unsigned int page)
{
	const uint64_t given = __atomic_load_n(&t->next_id, __ATOMIC_RELAXED);

	for (size_t i = 0; i < WORDS; i++) {
		const uint64_t id = i ? unmix(words[i]) - i : words[0];

		if (words[i] && ((id & 0xff) != page || !(id >> 8) || id >> 8 > given))
			return false;
	}
	return true;
}

void check_page(struct worker *w, struct samara_mm *mm, unsigned long addr,
		const struct page_state *p)
{
	const bool readable = p->mapped && p->prot && !p->guard;
	struct samara_fault fault = { 0 };
	long got;

	do {
		got = samara_read(mm, addr, w->buf, PAGE, &fault);
	} while (again(w, got));
	if (readable && (ran_out(w, got) || (got != (long)PAGE && lost(w, &fault))))
		return;
	if (got != (readable ? (long)PAGE : 0))
		wrong(w,
		      "%#lx: %ld bytes were read (signal %d, code %d); mapped %d prot %d guard %d",
		      addr, got, fault.signo, fault.code, p->mapped, p->prot, p->guard);
	else if (readable && !holds(w->buf, p->id) && !(p->freed && holds(w->buf, 0)))
		wrong(w, "%#lx: holds the page of id %#lx, and should that of %#lx", addr,
		      (unsigned long)w->buf[0], (unsigned long)p->id);
}
