/* PVH entry: 32-bit, paging off, flat segments, ebx = hvm_start_info. Ends in boot_main, 64-bit, on our own stack. */

        /* ELF notes, owner "Xen" (numbers: xen/include/public/elfnote.h in libxen-dev) */
        .macro note type, body:vararg
        .balign 4
        .long 4, 2f - 1f, \type
        .asciz "Xen"
1:      \body
2:      .balign 4
        .endm

        .section .note.Xen, "a", @note
        note 18, .long pvh_entry                /* PHYS32_ENTRY */
        note 6,  .asciz "signpost"              /* GUEST_OS */

        .section .text.start, "ax"
        .code32
        .globl pvh_entry
pvh_entry:
        cld
        mov     $stack_top, %esp
        mov     %ebx, %esi
        /* The low GiB, where image and start_info lie, with 2 MiB pages, until paging.c has made the real tables. */
        movl    $boot_tables + 0x1003, boot_tables
        movl    $boot_tables + 0x2003, boot_tables + 0x1000
        mov     $boot_tables + 0x2000, %edi
        mov     $0x83, %eax                     /* present, writable, 2 MiB */
        mov     $512, %ecx
1:      mov     %eax, (%edi)
        add     $0x200000, %eax
        add     $8, %edi
        loop    1b
        mov     %cr4, %eax
        or      $0x620, %eax                    /* PAE, OSFXSR, OSXMMEXCPT: libsodium uses SSE */
        mov     %eax, %cr4
        mov     $boot_tables, %eax
        mov     %eax, %cr3
        mov     $0x80000001, %eax
        cpuid
        shr     $9, %edx                        /* NX, bit 20, becomes EFER.NXE, bit 11; without it boot.c refuses */
        and     $0x800, %edx
        mov     %edx, %ebx
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x100, %eax                    /* LME */
        or      %ebx, %eax
        wrmsr
        mov     %cr0, %eax
        and     $0xfffffffb, %eax               /* no FPU emulation */
        or      $0x80010002, %eax               /* paging, write protection for us too, MP */
        mov     %eax, %cr0
        lgdt    gdt_ptr
        ljmp    $8, $1f
        .code64
1:      xor     %eax, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %eax, %ss
        fninit
        mov     %esi, %edi
        xor     %ebp, %ebp                      /* ends the chain of frames */
        call    boot_main
1:      hlt
        jmp     1b

        /* long hypercall(nr, a1, a2, a3, a4): through the page of stubs that Xen fills, 32 bytes a number. */
        .globl hypercall
hypercall:
        shl     $5, %rdi
        lea     hypercall_page(%rdi), %rax
        mov     %rsi, %rdi
        mov     %rdx, %rsi
        mov     %rcx, %rdx
        mov     %r8, %r10
        call    *%rax
        ret

        /* Traps: every vector's stub pushes its number and a zero where the CPU pushes no error code. They run on the stack
         * of IST 1, away from the red zone that libsodium's leaf functions use. None returns. */
        .macro trap n
        .balign 16
        .if \n == 8 || (\n >= 10 && \n <= 14) || \n == 17 || \n == 21 || \n == 29 || \n == 30
        .else
        push    $0
        .endif
        push    $\n
        jmp     trap_common
        .endm
        .balign 16
        .globl trap_stubs
trap_stubs:
        .altmacro
        .set    i, 0
        .rept   32
        trap    %i
        .set    i, i + 1
        .endr
trap_common:
        .irp    reg, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
        push    %\reg
        .endr
        cld
        mov     %rsp, %rdi                      /* struct trap_frame */
        xor     %ebp, %ebp
        call    boot_trap
1:      hlt
        jmp     1b

        .section .data.gdt, "aw"
        .balign 16
        .globl gdt
gdt:    .quad   0
        .quad   0x00af9a000000ffff              /* 64-bit code */
        .quad   0, 0                            /* the task state segment, filled in by boot.c */
        .globl gdt_ptr
gdt_ptr:
        .word   . - gdt - 1
        .quad   gdt

        .bss
        .balign 4096
        .globl  boot_tables
boot_tables:
        .skip   3 * 4096
        .section .note.GNU-stack, "", @progbits
