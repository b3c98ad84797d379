/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: Linux's memory calls on mappings that belong to the caller.
 *
 * Each call takes the arguments of the system call of its name, with the
 * constants of the host's <sys/mman.h>, checks them in the same order and gives
 * the same answer: Linux 6.18, x86-64, no matter what kernel the library runs on.
 * What is known to differ is in docs/fidelity.md.
 *
 * Units: addresses, lengths and offsets are bytes, as in the system calls.
 * Errors: 0 or -errno; the calls that return addresses are checked with SAMARA_IS_ERR_VALUE().
 * A call that fails leaves the address space as it was, unless Linux itself
 * leaves a trace there: a call that works through several mappings (mprotect,
 * madvise, mlock, mseal) keeps what it had done before the failing one.
 * -ENOMEM also stands for memory the library itself could not get.
 *
 * Locks: any number of threads may call on any mm. Each mm has one lock
 * (mmap_lock), taken inside every call and never held when it returns. Calls on
 * one mm exclude each other; reports (samara_vma_next and the printers) run
 * beside each other. Nothing here may be called from a signal handler.
 *
 * Every call on a machine, an mm, a file or a device of it, here and in the other headers, asks two
 * things first:
 * -ESRCH: the machine was made by another process, of which this one is a fork(2). In
 * <samara/uffd.h> alone it has a second cause: the address space has ended. Calls without a result
 * do nothing then; the memory of the machine, its mms and files stays allocated in the child. A
 * CPU's lookups find nothing there, and samara_cpu_miss()
 * says { 0, -ESRCH }. The frames are not mapped in the child: a pointer that was taken from a
 * lookup, a pin or a device before fork(2) must not be used there. The child may make machines of
 * its own, and give its CPUs up or run its own mms with them.
 * No call is a cancellation point (pthread_cancel(3)), but callbacks of the embedder may contain some;
 * those have to disable cancellation. A host file or memfd that RLIMIT_FSIZE does not let grow gives
 * -EFBIG, without SIGXFSZ.
 * -EDEADLK: the calling thread is inside a section of one of the machine's CPUs (<samara/cpu.h>),
 * so that the call could wait for itself.
 */
#ifndef SAMARA_MM_H
#define SAMARA_MM_H

#include <samara/file.h>
#include <samara/geometry.h>
#include <samara/types.h>

SAMARA_BEGIN_DECLS

struct samara_machine; /* one simulated host: its files, its memory budget */
struct samara_mm;      /* one address space */

/* machine ------------------------------------------------------------------ */

enum samara_machine_flags {
	SAMARA_MACHINE_NO_THP = 1 << 0,      /* no transparent huge pages: no 2 MiB placement, MAP_STACK ignored */
	SAMARA_MACHINE_NO_GATE = 1 << 1,     /* vsyscall=none */
	SAMARA_MACHINE_GATE_READ = 1 << 2,   /* vsyscall=emulate: the gate reads as r-xp, else --xp */
	SAMARA_MACHINE_SHMEM_HUGE = 1 << 3,  /* shmem_enabled is not "never": shared memory is aligned too */
	/*
	 * No process shares a page of zeros. A read of untouched anonymous memory takes a frame, as a
	 * write does, and so counts as a write for merging, for rss and for want of memory. Linux does
	 * so where a guest's memory has storage keys (s390), and on some hosts of virtual machines.
	 */
	SAMARA_MACHINE_NO_ZERO_PAGE = 1 << 4,
	SAMARA_MACHINE_NO_1G_PAGES = 1 << 5, /* a CPU without pages of 1 GiB: MAP_HUGETLB knows no such size */
	/*
	 * CONFIG_MEM_SOFT_DIRTY: pages say whether they were written to since samara_clear_refs(mm, 4), in
	 * pagemap's bit 55 and to samara_pagemap_scan(), and new mappings count as written to (sd in VmFlags).
	 */
	SAMARA_MACHINE_SOFT_DIRTY = 1 << 6,
};

/* vm.overcommit_memory */
enum samara_overcommit { SAMARA_OVERCOMMIT_GUESS = 0, SAMARA_OVERCOMMIT_ALWAYS = 1, SAMARA_OVERCOMMIT_NEVER = 2 };

struct samara_machine_config {
	size_t size;                            /* sizeof(struct samara_machine_config) */
	/*
	 * Pages that can be in memory at once, in bytes; rounded down to pages, at least one, at most 2^27 - 1.
	 * 0: 8 GiB may be promised, and 256 MiB are there.
	 */
	size_t ram_bytes;
	const struct samara_geometry *geometry; /* NULL: samara_geometry_x86_64(); copied */
	unsigned int flags;                     /* enum samara_machine_flags */
	enum samara_overcommit overcommit;      /* vm.overcommit_memory */
	size_t swap_bytes;
	unsigned int overcommit_ratio;          /* vm.overcommit_ratio, per cent; 0: 50 */
	unsigned long admin_reserve_bytes;      /* 0: 8 MiB */
	unsigned long user_reserve_bytes;       /* 0: 128 MiB or 1/32 of ram_bytes, the lesser */
	unsigned long max_map_count;            /* vm.max_map_count; 0: 65530 */
	unsigned int shmem_minor;               /* device 0:N that shared memory shows; 0: 1 */
	unsigned long first_shmem_ino;          /* inode of the first shared memory; 0: 1 */
};
#define SAMARA_MACHINE_CONFIG_INIT { .size = sizeof(struct samara_machine_config) }

/* 0; -EINVAL: size or geometry; -E2BIG: a member that this library does not know; -ENOMEM. cfg NULL: defaults. */
SAMARA_API SAMARA_MUST_CHECK int samara_machine_create(const struct samara_machine_config *cfg,
						       struct samara_machine **out);
/*
 * Drop the caller's reference. The machine is freed with its last mm, file and pinned page; until then they work as
 * before. NULL is allowed.
 */
SAMARA_API void samara_machine_destroy(struct samara_machine *machine);

/* vm.overcommit_memory from now on; what is charged stays charged. 0. */
SAMARA_API int samara_set_overcommit(struct samara_machine *machine, enum samara_overcommit mode);

/* Pages promised to private writable and shared memory of all mms (Committed_AS). */
SAMARA_API long samara_committed_pages(const struct samara_machine *machine);

/* life of an mm ------------------------------------------------------------ */

/*
 * An empty address space: nothing mapped, no limits but Linux's defaults
 * (RLIMIT_STACK and RLIMIT_MEMLOCK 8 MiB, the others unlimited), no capabilities, a layout as
 * the kernel makes it without randomisation, brk at 0. 0 or -ENOMEM.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_mm_create(struct samara_machine *machine, struct samara_mm **out);

/*
 * fork(2) of the address space: the map is copied without what MADV_DONTFORK
 * marks, locks are not inherited (mlock(2)), limits, capabilities and layout
 * are. 0 or -ENOMEM (memory, or the commit limit): then there is no child.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_fork(struct samara_mm *parent, struct samara_mm **child);

/* Unmap everything and give mm up. No other call on mm may be running or follow. */
SAMARA_API void samara_mm_exit(struct samara_mm *mm);

/* the calls ---------------------------------------------------------------- */

/* file: what the system call names by fd; NULL only with MAP_ANONYMOUS (else -EBADF). Takes a reference of its own. */
SAMARA_API unsigned long samara_mmap(struct samara_mm *mm, unsigned long addr, unsigned long len, int prot,
				     int flags, struct samara_file *file, unsigned long offset);
SAMARA_API int samara_munmap(struct samara_mm *mm, unsigned long addr, unsigned long len);
SAMARA_API int samara_mprotect(struct samara_mm *mm, unsigned long addr, unsigned long len, int prot);
SAMARA_API unsigned long samara_mremap(struct samara_mm *mm, unsigned long old_addr, unsigned long old_len,
				       unsigned long new_len, int flags, unsigned long new_addr);
SAMARA_API int samara_madvise(struct samara_mm *mm, unsigned long addr, unsigned long len, int advice);
SAMARA_API int samara_mlock(struct samara_mm *mm, unsigned long addr, unsigned long len);
SAMARA_API int samara_mlock2(struct samara_mm *mm, unsigned long addr, unsigned long len, int flags);
SAMARA_API int samara_munlock(struct samara_mm *mm, unsigned long addr, unsigned long len);
SAMARA_API int samara_mlockall(struct samara_mm *mm, int flags);
SAMARA_API int samara_munlockall(struct samara_mm *mm);
SAMARA_API int samara_mseal(struct samara_mm *mm, unsigned long addr, unsigned long len, unsigned long flags);
SAMARA_API int samara_msync(struct samara_mm *mm, unsigned long addr, unsigned long len, int flags);
/* vec: a byte a page, 1: in memory; written up to the first hole (-ENOMEM). NULL: a bad pointer (-EFAULT). */
SAMARA_API int samara_mincore(struct samara_mm *mm, unsigned long addr, unsigned long len, unsigned char *vec);
SAMARA_API int samara_remap_file_pages(struct samara_mm *mm, unsigned long addr, unsigned long size, int prot,
				       unsigned long pgoff, int flags);
/* The system call, not the library function: the new break, or the old one when it cannot be moved. */
SAMARA_API unsigned long samara_brk(struct samara_mm *mm, unsigned long brk);

/* surroundings ------------------------------------------------------------- */

/*
 * RLIMIT_AS, _DATA, _STACK or _MEMLOCK of <sys/resource.h>, in bytes, RLIM_INFINITY
 * for none. -EINVAL: another resource, or cur > max. Raising max is allowed.
 */
SAMARA_API int samara_set_rlimit(struct samara_mm *mm, int resource, unsigned long cur, unsigned long max);

/* What the owner may do beyond the limits; none at first. */
enum samara_caps {
	SAMARA_CAP_IPC_LOCK = 1 << 0,  /* no RLIMIT_MEMLOCK */
	SAMARA_CAP_SYS_ADMIN = 1 << 1, /* the admin reserve of overcommit mode 2; MADV_HWPOISON, _SOFT_OFFLINE */
	SAMARA_CAP_SYS_RAWIO = 1 << 2, /* maps below map_min_addr */
};
/* 0. */
SAMARA_API int samara_set_caps(struct samara_mm *mm, unsigned int caps);

/*
 * One mapping as it stands in /proc/PID/maps, for setting up an mm as execve(2)
 * leaves it, or as a snapshot shows it.
 */
struct samara_mapping {
	unsigned long start, end;  /* [start, end) */
	int prot;                  /* PROT_READ | PROT_WRITE | PROT_EXEC */
	int flags;                 /* MAP_SHARED or MAP_PRIVATE; and MAP_GROWSDOWN, _NORESERVE, _LOCKED, _STACK */
	struct samara_file *file;  /* NULL: anonymous (with MAP_SHARED: a fresh shared memory) */
	unsigned long offset;      /* bytes */
	const char *name;          /* NULL, or "[stack]", "[heap]", "[vdso]", "[vvar]", "[vvar_vclock]", ... */
	unsigned long vm_flags;    /* SAMARA_VM_* to set besides what follows from the above; _UFFD_* are ignored */
	bool touched;              /* pages of it were written to (smaps: Anonymous above 0); see samara_touch() */
};

/*
 * Put mapping into mm as it is given: no limit is checked, neighbours are not
 * merged. The names of the kernel's own mappings bring their flags ("[stack]"
 * grows down; "[vdso]", "[vvar]" and "[vvar_vclock]" are special) and are shown
 * for as long as the mapping lives; "[heap]" and "[stack]" are otherwise shown by where brk and
 * the stack start lie (struct samara_layout). 0, -EINVAL (not a range of whole
 * pages below task_size, no such name), -EEXIST (something is mapped there),
 * -ENOMEM.
 */
SAMARA_API SAMARA_MUST_CHECK int samara_mm_install(struct samara_mm *mm, const struct samara_mapping *mapping);

enum samara_layout_flags {
	SAMARA_LAYOUT_BOTTOM_UP = 1 << 0,  /* legacy layout (ADDR_COMPAT_LAYOUT, unlimited stack) */
	SAMARA_LAYOUT_READ_EXEC = 1 << 1,  /* personality(READ_IMPLIES_EXEC) */
};

/* Where things are in one process: what execve(2) decides and /proc/PID/stat tells. 0 keeps what mm has. */
struct samara_layout {
	size_t size;               /* sizeof(struct samara_layout) */
	unsigned int flags;        /* enum samara_layout_flags */
	unsigned long mmap_base;   /* addresses are chosen downwards from here */
	unsigned long legacy_base; /* and upwards from here when that fails, or in the legacy layout */
	unsigned long task_size;   /* first address no mapping may cover; at most the geometry's */
	unsigned long start_code, end_code;
	unsigned long start_data, end_data; /* RLIMIT_DATA counts them */
	unsigned long start_brk, brk;       /* the heap: bytes, not rounded */
	unsigned long start_stack;          /* an address in the initial stack */
	const struct samara_mapping *special; /* installed with the layout: the vdso, vvar, stack ... */
	size_t nr_special;
};
#define SAMARA_LAYOUT_INIT { .size = sizeof(struct samara_layout) }

/*
 * Make mm's layout the given one. Mappings that exist stay where they are. 0, -EINVAL (size, or an
 * address above the task size), or what samara_mm_install() gave for the first
 * special mapping that failed: then nothing has changed.
 */
SAMARA_API int samara_set_layout(struct samara_mm *mm, const struct samara_layout *layout);
/*
 * mm's layout; special: NULL, nr_special: 0. *out need not be initialised: all of it as declared above is written, and
 * size too. (Should the struct grow, this call leaves new members out, and a call of another name gives them.) 0.
 */
SAMARA_API int samara_get_layout(struct samara_mm *mm, struct samara_layout *out);

/*
 * The base from which an execve with this RLIMIT_STACK (bytes) has addresses
 * chosen; rnd: the bytes it was moved by at random, 0 without randomisation.
 */
SAMARA_API unsigned long samara_mmap_base(const struct samara_geometry *geometry, unsigned long stack_limit,
					  unsigned long rnd);

/*
 * Memory that was written to merges differently from memory that never was
 * (the kernel's anon_vma, docs/fidelity.md). For a caller that keeps the bytes itself, and so makes no accesses
 * here (<samara/access.h>), this says what the program touches.
 *
 * samara_touch(): the program reads (PROT_READ), writes (PROT_WRITE) or runs
 * (PROT_EXEC) each page of the range; a stack grows to reach it. 0, -EFAULT
 * at the first page it may not (the pages before it were touched), -ENOMEM.
 */
SAMARA_API int samara_touch(struct samara_mm *mm, unsigned long addr, unsigned long len, int access);

enum samara_touch_policy {
	SAMARA_TOUCH_EXPLICIT, /* only samara_touch(), and what the calls themselves populate; the default */
	SAMARA_TOUCH_EAGER,    /* private memory counts as written once it is mapped writable: for a trace */
};
/* 0. */
SAMARA_API int samara_set_touch_policy(struct samara_mm *mm, enum samara_touch_policy policy);

/* reports ------------------------------------------------------------------ */

/* The flags of a mapping, one bit for each two letters of VmFlags in /proc/PID/smaps. */
#define SAMARA_VM_READ        (1UL << 0)  /* rd */
#define SAMARA_VM_WRITE       (1UL << 1)  /* wr */
#define SAMARA_VM_EXEC        (1UL << 2)  /* ex */
#define SAMARA_VM_SHARED      (1UL << 3)  /* sh */
#define SAMARA_VM_MAYREAD     (1UL << 4)  /* mr */
#define SAMARA_VM_MAYWRITE    (1UL << 5)  /* mw */
#define SAMARA_VM_MAYEXEC     (1UL << 6)  /* me */
#define SAMARA_VM_MAYSHARE    (1UL << 7)  /* ms */
#define SAMARA_VM_GROWSDOWN   (1UL << 8)  /* gd */
#define SAMARA_VM_UFFD_MISSING (1UL << 9) /* um */
#define SAMARA_VM_PFNMAP      (1UL << 10) /* pf */
#define SAMARA_VM_MAYBE_GUARD (1UL << 11) /* gu */
#define SAMARA_VM_UFFD_WP     (1UL << 12) /* uw */
#define SAMARA_VM_LOCKED      (1UL << 13) /* lo */
#define SAMARA_VM_IO          (1UL << 14) /* io */
#define SAMARA_VM_SEQ_READ    (1UL << 15) /* sr */
#define SAMARA_VM_RAND_READ   (1UL << 16) /* rr */
#define SAMARA_VM_DONTCOPY    (1UL << 17) /* dc */
#define SAMARA_VM_DONTEXPAND  (1UL << 18) /* de */
#define SAMARA_VM_LOCKONFAULT (1UL << 19) /* lf */
#define SAMARA_VM_ACCOUNT     (1UL << 20) /* ac */
#define SAMARA_VM_NORESERVE   (1UL << 21) /* nr */
#define SAMARA_VM_HUGETLB     (1UL << 22) /* ht */
#define SAMARA_VM_SYNC        (1UL << 23) /* sf */
#define SAMARA_VM_WIPEONFORK  (1UL << 25) /* wf */
#define SAMARA_VM_DONTDUMP    (1UL << 26) /* dd */
#define SAMARA_VM_SOFTDIRTY   (1UL << 27) /* sd */
#define SAMARA_VM_MIXEDMAP    (1UL << 28) /* mm */
#define SAMARA_VM_HUGEPAGE    (1UL << 29) /* hg */
#define SAMARA_VM_NOHUGEPAGE  (1UL << 30) /* nh */
#define SAMARA_VM_MERGEABLE   (1UL << 31) /* mg */
#define SAMARA_VM_DROPPABLE   (1UL << 40) /* dp */
#define SAMARA_VM_UFFD_MINOR  (1UL << 41) /* ui */
#define SAMARA_VM_SEALED      (1UL << 42) /* sl */

struct samara_vma_info {
	unsigned long start, end, offset, ino;
	unsigned int dev_major, dev_minor;
	char perms[5];        /* "rw-p" */
	unsigned long flags;  /* SAMARA_VM_* */
	const char *name;     /* as /proc/PID/maps shows it, "" for none; its lifetime is below */
};

/*
 * The first mapping whose end lies above from. 0, or -ENOENT when there is none.
 * Walk a map with from = 0, then from = out->end. The gate is not among them.
 */
SAMARA_API int samara_vma_next(struct samara_mm *mm, unsigned long from, struct samara_vma_info *out);

/*
 * The same, with the name copied into buf, of size bytes; out->name is then buf. -ENOSPC: the name does not fit, and
 * *out is unchanged.
 *
 * The name that samara_vma_next() gives belongs to the mapping's file. It is freed with the file: when the file has no
 * mapping in any mm any more, and no reference (samara_file_get()). Where another thread may unmap it meanwhile, this
 * call is the one to use.
 */
SAMARA_API int samara_vma_next_copy(struct samara_mm *mm, unsigned long from, struct samara_vma_info *out, char *buf,
				    size_t size);

/* The gate area ([vsyscall]), which belongs to no mm. 0, or -ENOENT. */
SAMARA_API int samara_gate_info(struct samara_mm *mm, struct samara_vma_info *out);

/* The very text of /proc/PID/maps, and of smaps. */
SAMARA_API int samara_print_maps(struct samara_mm *mm, int fd);
SAMARA_API int samara_print_smaps(struct samara_mm *mm, int fd);

/* The range tree that holds the mappings, as Graphviz text (samara_mtree_print_dot). */
SAMARA_API int samara_mm_print_tree(struct samara_mm *mm, int fd);

/* VmFlags as smaps prints it ("rd wr mr mw me ac "), into buf of size bytes. Returns the length, or -ENOSPC. */
SAMARA_API int samara_vm_flags_text(unsigned long flags, char *buf, size_t size);

/* Totals, in pages, as /proc/PID/status shows them in kB. */
struct samara_mm_stats {
	size_t size;              /* sizeof(struct samara_mm_stats), set by the caller */
	unsigned long total_vm;   /* VmSize */
	unsigned long locked_vm;  /* VmLck */
	unsigned long data_vm;    /* VmData */
	unsigned long exec_vm;    /* executable file pages: VmExe + VmLib */
	unsigned long stack_vm;   /* VmStk */
	unsigned long map_count;  /* mappings */
	unsigned long accounted;  /* pages charged to the machine for this mm */
	unsigned long tree_bytes; /* memory of the tree that holds the mappings */
};
/* 0, or -EINVAL (size). Members that this library does not know become 0. */
SAMARA_API int samara_mm_stats(struct samara_mm *mm, struct samara_mm_stats *out);

/*
 * Check every written invariant of mm: the tree's own, mappings in order and not overlapping, each found where the tree
 * says, counters equal to what the mappings add up to. 0, or -EUCLEAN with the first broken one in out (may be NULL).
 */
SAMARA_API SAMARA_MUST_CHECK int samara_mm_validate(struct samara_mm *mm, struct samara_report *out);

SAMARA_END_DECLS

#endif
