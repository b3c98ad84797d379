/* SPDX-License-Identifier: MIT */
/*
 * What runs in a program's address space: the agent's code, position-independent, one page.
 *
 * The agent keeps all in registers, for what it would keep in memory the program could change:
 *
 *   r12  the ask page; the said page follows
 *   r13  the round that ran last
 *   r14  the next step
 *   r15  its number
 *   rbx  steps of this round
 *
 * A task of the program runs stub_boot, with r12 set, r13: the ring's offset in its file, rbx: the
 * code's descriptor, r14: a dead agent to be waited for, or 0. A child of fork begins at stub_fork.
 * Either makes the agent, which goes on at `agent`; the task is stopped when clone(2) returns.
 */
#include "run/stub/stub.h"

#include <stddef.h>

#include "run/agent.h"

#ifdef __x86_64__

_Static_assert(offsetof(struct ring_ask, count) == 4, "stub");
_Static_assert(offsetof(struct ring_ask, here) == 8, "stub");
_Static_assert(offsetof(struct ring_ask, wait) == 16, "stub");
_Static_assert(offsetof(struct ring_ask, step) == 24, "stub");
_Static_assert(sizeof(struct ring_step) == 56, "stub");
_Static_assert(offsetof(struct ring_ask, tally) == 24 + 56 * RING_STEPS, "stub");
_Static_assert(offsetof(struct ring_said, result) == 0, "stub");
_Static_assert(AGENT_FD_BELL == 5 && AGENT_FD_RINGS == 7 && AGENT_CALL_FD == 0x5a3afd, "stub");

__asm__(".pushsection .rodata\n"
	".balign 16\n"
	".globl stub_code, stub_boot, stub_fork, stub_wait, stub_end\n"
	".hidden stub_code, stub_boot, stub_fork, stub_wait, stub_end\n"
	"stub_code:\n"

	/* Descriptor of the rings, mapped behind the code. */
	"stub_boot:\n"
	"	mov	$0x5a3afd, %eax\n"
	"	mov	$7, %edi\n"
	"	syscall\n"
	"	test	%rax, %rax\n"
	"	js	trap\n"
	"	mov	%rax, %rbp\n"
	"	mov	$9, %eax\n" /* mmap: ask */
	"	mov	%r12, %rdi\n"
	"	mov	$4096, %esi\n"
	"	mov	$1, %edx\n"         /* PROT_READ */
	"	mov	$0x100001, %r10d\n" /* MAP_SHARED | MAP_FIXED_NOREPLACE */
	"	mov	%rbp, %r8\n"
	"	mov	%r13, %r9\n" /* the ring's offset */
	"	syscall\n"
	"	cmp	%r12, %rax\n"
	"	jne	trap\n"
	"	mov	$9, %eax\n" /* mmap: said */
	"	lea	4096(%r12), %rdi\n"
	"	mov	$3, %edx\n"
	"	lea	4096(%r13), %r9\n"
	"	syscall\n"
	"	cmp	%rdi, %rax\n"
	"	jne	trap\n"
	"	mov	$3, %eax\n" /* close */
	"	mov	%rbp, %rdi\n"
	"	syscall\n"
	"	mov	$3, %eax\n"
	"	mov	%rbx, %rdi\n"
	"	syscall\n"
	"	test	%r14, %r14\n"
	"	jz	stub_fork\n"
	"	mov	$61, %eax\n" /* wait4(r14, NULL, __WALL | WNOHANG, NULL) */
	"	mov	%r14, %rdi\n"
	"	xor	%esi, %esi\n"
	"	mov	$0x40000001, %edx\n"
	"	xor	%r10d, %r10d\n"
	"	syscall\n"

	/* clone(CLONE_VM | CLONE_FILES), no signal at its end, a stack that it never uses. */
	"stub_fork:\n"
	"	mov	$56, %eax\n"
	"	mov	$0x500, %edi\n"
	"	xor	%esi, %esi\n"
	"	xor	%edx, %edx\n"
	"	xor	%r10d, %r10d\n"
	"	xor	%r8d, %r8d\n"
	"	syscall\n"
	"	test	%rax, %rax\n"
	"	jz	agent\n"
	"trap:\n" /* it failed, and the task is killed: a trap may change its signals */
	"	int3\n"
	"	jmp	trap\n"

	/*
	 * close_range(0, ~0, CLOSE_RANGE_UNSHARE): its own descriptors, and none of the program's.
	 * None of those is copied, so none is closed either. If that fails it must touch none.
	 */
	"agent:\n"
	"	mov	$436, %eax\n"
	"	xor	%edi, %edi\n"
	"	mov	$0xffffffff, %esi\n"
	"	mov	$2, %edx\n"
	"	syscall\n"
	"	test	%rax, %rax\n"
	"	jnz	ends\n"
	"	xor	%r13d, %r13d\n"

	"turn:\n" /* where both pages are from now on */
	"	mov	16(%r12), %rax\n"
	"	mov	8(%r12), %r12\n"
	"	jmp	*%rax\n"
	"stub_wait:\n"
	"	mov	(%r12), %eax\n"
	"	cmp	%r13d, %eax\n"
	"	jne	round\n"
	"	mov	$202, %eax\n" /* futex(word, FUTEX_WAIT, r13, NULL) */
	"	mov	%r12, %rdi\n"
	"	xor	%esi, %esi\n"
	"	mov	%r13d, %edx\n"
	"	xor	%r10d, %r10d\n"
	"	syscall\n"
	"	jmp	stub_wait\n"
	"round:\n"
	"	mov	%eax, %r13d\n"
	"	mov	4(%r12), %ebx\n"
	"	lea	24(%r12), %r14\n"
	"	xor	%r15d, %r15d\n"
	"step:\n"
	"	cmp	%ebx, %r15d\n"
	"	jae	bell\n"
	"	mov	(%r14), %rax\n"
	"	mov	8(%r14), %rdi\n"
	"	mov	16(%r14), %rsi\n"
	"	mov	24(%r14), %rdx\n"
	"	mov	32(%r14), %r10\n"
	"	mov	40(%r14), %r8\n"
	"	mov	48(%r14), %r9\n"
	"	syscall\n"
	"	mov	%rax, 4096(%r12)\n"
	"	cmp	$-4095, %rax\n"
	"	jae	bell\n"
	"	add	$56, %r14\n"
	"	inc	%r15d\n"
	"	jmp	step\n"
	"bell:\n"
	"	mov	$1, %eax\n" /* write(bell, &tally[r15], 8) */
	"	mov	$5, %edi\n"
	"	lea	1816(%r12,%r15,8), %rsi\n"
	"	mov	$8, %edx\n"
	"	syscall\n"
	"	cmp	$8, %rax\n"
	"	je	turn\n"
	"ends:\n"
	"	mov	$231, %eax\n" /* exit_group */
	"	xor	%edi, %edi\n"
	"	syscall\n"
	"	jmp	ends\n"
	"stub_end:\n"
	".popsection\n");

_Static_assert(24 + 56 * RING_STEPS == 1816, "stub");

extern const char stub_code[], stub_boot[], stub_fork[], stub_wait[], stub_end[];

struct stub stub_get(void)
{
	return (struct stub){
		.code = stub_code,
		.bytes = (unsigned long)(stub_end - stub_code),
		.boot = (unsigned long)(stub_boot - stub_code),
		.fork = (unsigned long)(stub_fork - stub_code),
		.wait = (unsigned long)(stub_wait - stub_code),
	};
}

#else

struct stub stub_get(void)
{
	return (struct stub){ .bytes = 0 };
}

#endif
