/* SPDX-License-Identifier: MIT */
/*
 * Pins: pages that a holder outside uses by their frame, and that have to stay the pages the
 * process sees.
 *
 *   to write        a write fault has made the page the process's own, or it is a file's in a
 *                   shared mapping
 *   to read         an anonymous page must be exclusive: one shared since fork would be left behind
 *                   by the process's next write. It is unshared first (FAULT_UNSHARE)
 *   to read, long   so are a file's page and the zero frame in a private mapping
 *
 * An exclusive page is reused by write faults and copied by fork for the child, so it stays. A
 * pin counts as FOLIO_PIN_BIAS references; the zero frame is not counted, as nowhere. Each pin, the
 * zero frame's too, holds a reference to the machine.
 *
 * The checks are Linux's for pin_user_pages(): reading asks for VM_READ although a CPU on x86
 * does not; a stack does not grow; PFN maps cannot be pinned; nor can files that are written
 * back, for long, to write.
 */
#include <errno.h>

#include "access/fault_door.h"
#include "access/pin.h"
#include "access/wait.h"
#include "core/vma_lock.h"
#include "frame/pfn.h"
#include "mmu/entry.h"
#include "reclaim/reclaim.h"
#include "vma/find.h"

struct pin_ask {
	unsigned int pin;   /* enum samara_pin_flags */
	unsigned int fault; /* enum fault_flags */
	unsigned int codes; /* of the last fault, if that gave the answer */
	struct waited *waited;
	struct samara_pin *out;
};

/* Of pin_to_copy(): what is only read need not be the process's own. */
#define PIN_SHARED (1U << 31)

#define PIN_FLAGS (SAMARA_PIN_WRITE | SAMARA_PIN_LONGTERM | SAMARA_PIN_FORCE)
#define PIN_WRITE_LONG (SAMARA_PIN_WRITE | SAMARA_PIN_LONGTERM)

static int check_vma(const struct vma *vma, const struct pin_ask *ask)
{
	if ((vma->vm_flags & (VM_IO | VM_PFNMAP)) || fault_check_access(vma, ask->fault))
		return -EFAULT;
	if (!(ask->pin & (SAMARA_PIN_WRITE | SAMARA_PIN_FORCE)) && !(vma->vm_flags & VM_READ))
		return -EFAULT;
	if ((ask->pin & PIN_WRITE_LONG) == PIN_WRITE_LONG && vma_tracks_writes(vma))
		return -EFAULT;
	return 0;
}

/*
 * How a page that is not there is faulted. A file's page that has to be unshared is at once: else
 * it might leave each time to make room for its copy.
 */
static unsigned int first_fault(const struct vma *vma, const struct pin_ask *ask)
{
	if ((ask->pin & PIN_WRITE_LONG) == SAMARA_PIN_LONGTERM && vm_is_cow(vma->vm_flags) &&
	    vma->vm_file && !vma->is_anon)
		return ask->fault | FAULT_UNSHARE;
	return ask->fault;
}

/* What the entry lacks: 0, or how it has to be faulted. */
static unsigned int lacking(const struct vma *vma, const struct folio *folio, pte_t pte,
			    const struct pin_ask *ask)
{
	const bool own =
		folio && folio_test(folio, FOLIO_ANON) && folio_test(folio, FOLIO_EXCLUSIVE);
	const bool anon = folio && folio_test(folio, FOLIO_ANON);

	if (pte_write(pte))
		return 0;
	if (ask->pin & SAMARA_PIN_WRITE) {
		/*
		 * Where the program may not write, a debugger may once the page is the process's
		 * own.
		 */
		if ((ask->pin & SAMARA_PIN_FORCE) && !(vma->vm_flags & VM_WRITE) && own &&
		    pte_dirty(pte) && !pte_stops_write(vma, pte) &&
		    ((pte.v & PTE_SOFT_DIRTY) || !vma_soft_dirty_enabled(vma)))
			return 0;
		return FAULT_WRITE;
	}
	if (anon)
		return own || (ask->pin & PIN_SHARED) ? 0 : FAULT_UNSHARE;
	return (ask->pin & SAMARA_PIN_LONGTERM) && vm_is_cow(vma->vm_flags) ? FAULT_UNSHARE : 0;
}

/*
 * Take the page if it is there as it has to be. 0; -EFAULT, -ENOMEM; 1: *need says how it has to be
 * faulted first.
 */
static int follow(struct vma *vma, unsigned long addr, const struct pin_ask *ask,
		  unsigned int *need)
{
	struct ram *ram = vma->vm_mm->machine->ram;
	struct table *leaf = table_find(vma->vm_mm, addr);
	struct folio *folio;
	int ret = 1;
	pte_t pte;

	*need = first_fault(vma, ask);
	if (!leaf)
		return 1; /* or a huge entry, which the fault refuses */
	table_lock(leaf);
	pte = pte_read(table_pte(vma->vm_mm, leaf, addr));
	if (!pte_present(pte))
		goto unlock;
	folio = pte_special(pte) ? NULL : pfn_folio(ram, pte_pfn(pte));
	*need = lacking(vma, folio, pte, ask);
	if (*need)
		goto unlock;
	ret = -EFAULT;
	if (!folio && pte_pfn(pte) != ZERO_FRAME)
		goto unlock;
	ret = -ENOMEM;
	if (folio && !folio_try_pin(folio))
		goto unlock;
	*ask->out = (struct samara_pin){
		.host = pfn_to_virt(ram, pte_pfn(pte)),
		.pfn = pte_pfn(pte),
		.machine = vma->vm_mm->machine,
	};
	ret = 0;
unlock:
	table_unlock(leaf);
	return ret;
}

/* vma is held as ask->fault says. 0, -EFAULT, -ENOMEM; 1: only with the mmap_lock. */
static int pin_in_vma(struct vma *vma, unsigned long addr, struct pin_ask *ask)
{
	const unsigned int how = ask->fault & (FAULT_VMA_LOCK | FAULT_KERNEL | FAULT_NOWAIT);
	unsigned int codes, need;
	int ret = check_vma(vma, ask);

	ask->codes = 0;
	while (!ret && (ret = follow(vma, addr, ask, &need)) == 1) {
		codes = fault_or_queue(vma, addr, need | how, ask->waited);
		fault_count(vma->vm_mm, codes);
		if (codes & VM_FAULT_RETRY)
			return 1;
		ret = fault_errno(codes);
		if (ret) {
			ask->codes = codes;
			/* To a pin poison is a bad address as well. */
			return ret == -EHWPOISON ? -EFAULT : ret;
		}
	}
	return ret;
}

static __always_inline int pin_once(struct samara_mm *mm, unsigned long addr, struct pin_ask *ask)
{
	const unsigned int fault = ask->fault;
	struct vma *vma;
	int ret = 1;

	if (addr >= mm->geo->task_size)
		return -EFAULT;
	vma = lock_vma_under_rcu(mm, addr);
	if (vma) {
		ask->fault = fault | FAULT_VMA_LOCK;
		ret = pin_in_vma(vma, addr, ask);
		vma_end_read(vma);
		ask->fault = fault;
		mm_lock_count(mm, ret == 1 ? VMA_LOCK_RETRY : VMA_LOCK_NO_FAULT);
	}
	if (ret != 1)
		return ret;
	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	ret = vma ? pin_in_vma(vma, addr, ask) : -EFAULT;
	mmap_read_unlock(mm);
	return ret;
}

/* Again after each wait. No lock is held. */
static __always_inline int pin_one(struct samara_mm *mm, unsigned long addr, struct pin_ask *ask)
{
	int ret, err;

	waited_begin(ask->waited, frames_refused, ask->fault);
	for (;;) {
		ask->codes = 0;
		ret = pin_once(mm, addr, ask);
		if (!ret || !(ask->codes & VM_FAULT_WAITS))
			break;
		err = access_wait(mm, addr, ask->codes, ask->waited);
		if (err) {
			ret = err == -EIO ? -EFAULT : err;
			break;
		}
	}
	waited_end(mm, ask->waited);
	return ret;
}

/* As samara_pin_pages(); ask says how. */
static __always_inline long pin_pages(struct samara_mm *mm, unsigned long addr, unsigned long nr,
				      struct pin_ask *ask, struct samara_pin *out)
{
	struct waited waited;
	unsigned long done;
	int err = 0;

	ask->waited = &waited;
	for (done = 0; done < nr; done++, addr += mm_page_size(mm)) {
		ask->out = &out[done];
		err = pin_one(mm, addr, ask);
		if (err)
			break;
	}
	machine_get(mm->machine, done);
	return done ? (long)done : err;
}

long samara_pin_pages(struct samara_mm *mm, unsigned long addr, unsigned long nr,
		      unsigned int flags, struct samara_pin *out)
{
	const int refused = mm_call(mm);
	struct pin_ask ask = {
		.pin = flags,
		.fault = FAULT_KERNEL | (flags & SAMARA_PIN_WRITE ? FAULT_WRITE : 0) |
			 (flags & SAMARA_PIN_FORCE ? FAULT_FORCE : 0),
	};

	if (refused)
		return refused;
	if (!mm_page_aligned(mm, addr) || (flags & ~(unsigned int)PIN_FLAGS))
		return -EINVAL;
	return pin_pages(mm, addr, nr, &ask, out);
}

int pin_to_copy(struct samara_mm *mm, unsigned long addr, unsigned int write, unsigned int flags,
		struct samara_pin *out)
{
	struct pin_ask ask = {
		.pin = SAMARA_PIN_FORCE | PIN_SHARED | (write ? SAMARA_PIN_WRITE : 0),
		.fault = FAULT_KERNEL | FAULT_FORCE | write | (flags & FAULT_NOWAIT),
	};
	const long n = pin_pages(mm, addr, 1, &ask, out);

	return n == 1 ? 0 : (int)n;
}

/*
 * The frame is bad, and what samara_memory_failure() has put off is done behind the last pin. Not
 * inside a section, which a flush would wait for: the page stays until it is freed.
 */
static void unpinned_bad(const struct samara_pin *pin)
{
	struct file_store *store = pin->machine->store;
	struct folio *folio;

	if (gate_check(pin->machine->gate))
		return;
	folio = folio_get_pfn(store->ram, pin->pfn);
	if (!folio)
		return;
	folio_failure_unpinned(store, folio);
	folio_put(store->ram, folio);
}

static void unpin(const struct samara_pin *pin, int dirty)
{
	const uint64_t bad = (uint64_t)FOLIO_POISONED << FOLIO_FLAGS_SHIFT;
	struct ram *ram = pin->machine->ram;
	struct folio *folio = pfn_folio(ram, pin->pfn);
	uint64_t state;

	if (pin->pfn == ZERO_FRAME)
		return;
	if (dirty)
		folio_set(folio, FOLIO_DIRTY);
	state = atomic_sub_return_acq_rel(&folio->state, FOLIO_PIN_BIAS * FOLIO_REF_ONE);
	if (folio_gone(state))
		folio_free(ram, folio);
	else if (unlikely(state & bad))
		unpinned_bad(pin);
}

void samara_unpin_pages(struct samara_pin *pins, unsigned long nr, int dirty)
{
	unsigned long first = 0;

	for (unsigned long i = 0; i < nr; i++) {
		struct samara_machine *machine = pins[i].machine;

		if (gate_is_foreign(machine->gate))
			return;
		unpin(&pins[i], dirty);
		/* The last pin's reference may be the machine's last. */
		if (i + 1 < nr && pins[i + 1].machine == machine)
			continue;
		machine_put(machine, i + 1 - first);
		first = i + 1;
	}
}
