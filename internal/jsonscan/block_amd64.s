//go:build !purego

#include "textflag.h"

// The contracts of these functions are in block.go. Most have a variant for SSE2, which
// every amd64 has, and one for AVX2 at the label wide; backslashes and brackets have only
// the former, oddLetters only the latter.

// Constants to compare a block with, sixteen bytes at a time.
DATA quote<>+0(SB)/8, $0x2222222222222222
DATA quote<>+8(SB)/8, $0x2222222222222222
GLOBL quote<>(SB), RODATA|NOPTR, $16
DATA slash<>+0(SB)/8, $0x5c5c5c5c5c5c5c5c
DATA slash<>+8(SB)/8, $0x5c5c5c5c5c5c5c5c
GLOBL slash<>(SB), RODATA|NOPTR, $16
DATA upper<>+0(SB)/8, $0x5f5f5f5f5f5f5f5f
DATA upper<>+8(SB)/8, $0x5f5f5f5f5f5f5f5f
GLOBL upper<>(SB), RODATA|NOPTR, $16
DATA letter<>+0(SB)/8, $0x5a5a5a5a5a5a5a5a // 'Z', which is before '['
DATA letter<>+8(SB)/8, $0x5a5a5a5a5a5a5a5a
GLOBL letter<>(SB), RODATA|NOPTR, $16

DATA lower<>+0(SB)/8, $0x2020202020202020
DATA lower<>+8(SB)/8, $0x2020202020202020
GLOBL lower<>(SB), RODATA|NOPTR, $16
DATA opening<>+0(SB)/8, $0x7b7b7b7b7b7b7b7b
DATA opening<>+8(SB)/8, $0x7b7b7b7b7b7b7b7b
GLOBL opening<>(SB), RODATA|NOPTR, $16
DATA closing<>+0(SB)/8, $0x7d7d7d7d7d7d7d7d
DATA closing<>+8(SB)/8, $0x7d7d7d7d7d7d7d7d
GLOBL closing<>(SB), RODATA|NOPTR, $16

DATA odd<>+0(SB)/8, $0x0101010101010101
GLOBL odd<>(SB), RODATA|NOPTR, $8

// BITS gathers the high bits of the 64 bytes in a, b, c and d in AX, the lowest for the
// first byte. It overwrites BX, R8 and R9.
#define BITS(a, b, c, d) \
	PMOVMSKB a, AX;  \
	PMOVMSKB b, BX;  \
	PMOVMSKB c, R8;  \
	PMOVMSKB d, R9;  \
	SHLQ     $16, BX; \
	ORQ      BX, AX; \
	SHLQ     $16, R9; \
	ORQ      R9, R8; \
	SHLQ     $32, R8; \
	ORQ      R8, AX

// BITS2 is BITS for 32 bytes in each of a and b. It overwrites BX.
#define BITS2(a, b) \
	VPMOVMSKB a, AX;  \
	VPMOVMSKB b, BX;  \
	SHLQ      $32, BX; \
	ORQ       BX, AX

// MARKED sets the high bit of each byte of to where the byte of from is a mark: '[' or
// more once the bit that tells '{' from '[' is cleared, or not ASCII.
#define MARKED(from, to) \
	MOVOA   from, to; \
	PAND    X9, to;   \
	PCMPGTB X10, to;  \
	POR     from, to

// func structure(p *[blockSize]byte) (quotes, marks uint64)
TEXT ·structure(SB), NOSPLIT, $0-24
	MOVQ  p+0(FP), SI
	CMPB  ·avx2(SB), $0
	JNE   wide
	MOVOU quote<>(SB), X8
	MOVOU upper<>(SB), X9
	MOVOU letter<>(SB), X10
	MOVOU (SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X2
	MOVOU 48(SI), X3
	MARKED(X0, X4)
	MARKED(X1, X5)
	MARKED(X2, X6)
	MARKED(X3, X7)
	PCMPEQB X8, X0
	PCMPEQB X8, X1
	PCMPEQB X8, X2
	PCMPEQB X8, X3
	BITS(X0, X1, X2, X3)
	MOVQ AX, quotes+8(FP)
	BITS(X4, X5, X6, X7)
	MOVQ AX, marks+16(FP)
	RET

wide:
	VPBROADCASTQ quote<>(SB), Y8
	VPBROADCASTQ upper<>(SB), Y9
	VPBROADCASTQ letter<>(SB), Y10
	VMOVDQU      (SI), Y0
	VMOVDQU      32(SI), Y1
	VPCMPEQB     Y8, Y0, Y2
	VPCMPEQB     Y8, Y1, Y3
	VPAND        Y9, Y0, Y4
	VPAND        Y9, Y1, Y5
	VPCMPGTB     Y10, Y4, Y4
	VPCMPGTB     Y10, Y5, Y5
	VPOR         Y0, Y4, Y4
	VPOR         Y1, Y5, Y5
	BITS2(Y2, Y3)
	MOVQ         AX, quotes+8(FP)
	BITS2(Y4, Y5)
	MOVQ         AX, marks+16(FP)
	VZEROUPPER
	RET

// func backslashes(p *[blockSize]byte) (slashes uint64)
TEXT ·backslashes(SB), NOSPLIT, $0-16
	MOVQ    p+0(FP), SI
	MOVOU   slash<>(SB), X8
	MOVOU   (SI), X0
	MOVOU   16(SI), X1
	MOVOU   32(SI), X2
	MOVOU   48(SI), X3
	PCMPEQB X8, X0
	PCMPEQB X8, X1
	PCMPEQB X8, X2
	PCMPEQB X8, X3
	BITS(X0, X1, X2, X3)
	MOVQ    AX, slashes+8(FP)
	RET

// func brackets(p *[blockSize]byte) (opens, closes, braces uint64)
TEXT ·brackets(SB), NOSPLIT, $0-32
	MOVQ    p+0(FP), SI
	MOVOU   lower<>(SB), X8
	MOVOU   opening<>(SB), X9
	MOVOU   closing<>(SB), X10
	MOVOU   (SI), X0
	MOVOU   16(SI), X1
	MOVOU   32(SI), X2
	MOVOU   48(SI), X3
	MOVOA   X0, X4
	MOVOA   X1, X5
	MOVOA   X2, X6
	MOVOA   X3, X7
	PSLLW   $2, X4 // the bit that tells '{' from '[' becomes the high bit
	PSLLW   $2, X5
	PSLLW   $2, X6
	PSLLW   $2, X7
	BITS(X4, X5, X6, X7)
	MOVQ    AX, braces+24(FP)
	POR     X8, X0 // '[' becomes '{', and ']' becomes '}'
	POR     X8, X1
	POR     X8, X2
	POR     X8, X3
	MOVOA   X0, X4
	MOVOA   X1, X5
	MOVOA   X2, X6
	MOVOA   X3, X7
	PCMPEQB X9, X0
	PCMPEQB X9, X1
	PCMPEQB X9, X2
	PCMPEQB X9, X3
	BITS(X0, X1, X2, X3)
	MOVQ    AX, opens+8(FP)
	PCMPEQB X10, X4
	PCMPEQB X10, X5
	PCMPEQB X10, X6
	PCMPEQB X10, X7
	BITS(X4, X5, X6, X7)
	MOVQ    AX, closes+16(FP)
	RET

// UNESCAPED takes the 16 bytes at an offset in the block and in quotes all ones for each of
// them that is a quote. It leaves in to those quotes that have not exactly one backslash
// before them, and so may end the string. It overwrites X4. (PANDN inverts its second
// operand, the destination, before the and.)
#define UNESCAPED(offset, quotes, to) \
	MOVOU   (offset-1)(SI)(CX*1), X4; \
	MOVOU   (offset-2)(SI)(CX*1), to; \
	PCMPEQB X9, X4;                   \
	PCMPEQB X9, to;                   \
	PANDN   X4, to;                   \
	PANDN   quotes, to

// ESCAPED removes from AX, the quotes of a block, those that are escaped. R10 holds the
// backslashes, and R11 is 1 if the first byte is escaped. block.go explains how, at the
// function escaped. It overwrites BX, R11, R12 and R13.
#define ESCAPED \
	MOVQ R10, R12;         \
	ORQ  R11, R12;         \
	NOTQ R11;              \
	ANDQ R10, R11;         \
	LEAQ (R11)(R11*1), BX; \
	MOVQ $0xaaaaaaaaaaaaaaaa, R13; \
	ORQ  R13, BX;          \
	SUBQ R11, BX;          \
	XORQ R13, BX;          \
	XORQ R12, BX;          \
	NOTQ BX;               \
	ANDQ BX, AX

// BEHIND leaves 1 in R11 if the first byte of the block, at CX, is escaped, and else 0: it
// counts the backslashes before it. It overwrites BX. Its arguments are two labels, which
// have to be new for each use.
#define BEHIND(back, counted) \
	MOVQ CX, BX;                \
back: \
	CMPB -1(SI)(BX*1), $0x5c;   \
	JNE  counted;               \
	DECQ BX;                    \
	JMP  back;                  \
counted: \
	MOVQ CX, R11;               \
	SUBQ BX, R11;               \
	ANDQ $1, R11

// func pastEscaped(b []byte, i int) int
TEXT ·pastEscaped(SB), NOSPLIT, $0-40
	MOVQ  b_base+0(FP), SI
	MOVQ  b_len+8(FP), DX
	MOVQ  i+24(FP), CX
	SUBQ  $64, DX          // where the last block begins at the latest
	CMPB  ·avx2(SB), $0
	JNE   wide
	MOVOU quote<>(SB), X8
	MOVOU slash<>(SB), X9

	// Most blocks have no quotes: look for these first, and at backslashes only then.
block:
	CMPQ    CX, DX
	JGT     done
	MOVOU   (SI)(CX*1), X0
	MOVOU   16(SI)(CX*1), X1
	MOVOU   32(SI)(CX*1), X2
	MOVOU   48(SI)(CX*1), X3
	PCMPEQB X8, X0
	PCMPEQB X8, X1
	PCMPEQB X8, X2
	PCMPEQB X8, X3

	MOVOA    X0, X4
	POR      X1, X4
	MOVOA    X2, X5
	POR      X3, X5
	POR      X5, X4
	PMOVMSKB X4, AX
	TESTL    AX, AX
	JZ       next

	UNESCAPED(0, X0, X5)
	UNESCAPED(16, X1, X6)
	UNESCAPED(32, X2, X7)
	UNESCAPED(48, X3, X0)
	POR      X5, X6
	POR      X7, X0
	POR      X6, X0
	PMOVMSKB X0, AX
	TESTL    AX, AX
	JNZ      runs

next:
	ADDQ $64, CX
	JMP  block

	// Some quote has no backslash before it, or two or more: count them exactly.
runs:
	MOVOU   (SI)(CX*1), X0
	MOVOU   16(SI)(CX*1), X1
	MOVOU   32(SI)(CX*1), X2
	MOVOU   48(SI)(CX*1), X3
	MOVOA   X0, X4
	MOVOA   X1, X5
	MOVOA   X2, X6
	MOVOA   X3, X7
	PCMPEQB X9, X4
	PCMPEQB X9, X5
	PCMPEQB X9, X6
	PCMPEQB X9, X7
	BITS(X4, X5, X6, X7)
	MOVQ    AX, R10
	PCMPEQB X8, X0
	PCMPEQB X8, X1
	PCMPEQB X8, X2
	PCMPEQB X8, X3
	BITS(X0, X1, X2, X3)
	BEHIND(back, counted)
	ESCAPED
	JZ      next
	BSFQ AX, AX
	ADDQ AX, CX

done:
	MOVQ CX, ret+32(FP)
	RET

	// With AVX2, looking at the backslashes of every block costs less than a branch on
	// whether it has quotes, which is hard to predict.
wide:
	VPBROADCASTQ quote<>(SB), Y8
	VPBROADCASTQ slash<>(SB), Y9

wideBlock:
	CMPQ     CX, DX
	JGT      wideDone
	VPCMPEQB (SI)(CX*1), Y8, Y0
	VPCMPEQB 32(SI)(CX*1), Y8, Y1
	VPCMPEQB -1(SI)(CX*1), Y9, Y2
	VPCMPEQB 31(SI)(CX*1), Y9, Y3
	VPCMPEQB -2(SI)(CX*1), Y9, Y4
	VPCMPEQB 30(SI)(CX*1), Y9, Y5
	VPANDN   Y2, Y4, Y4
	VPANDN   Y3, Y5, Y5
	VPANDN   Y0, Y4, Y4
	VPANDN   Y1, Y5, Y5
	VPOR     Y4, Y5, Y5
	VPTEST   Y5, Y5
	JNZ      wideRuns

wideNext:
	ADDQ $64, CX
	JMP  wideBlock

wideRuns:
	VPCMPEQB (SI)(CX*1), Y9, Y2
	VPCMPEQB 32(SI)(CX*1), Y9, Y3
	BITS2(Y2, Y3)
	MOVQ     AX, R10
	BITS2(Y0, Y1)
	BEHIND(wideBack, wideCounted)
	ESCAPED
	JZ       wideNext
	BSFQ AX, AX
	ADDQ AX, CX

wideDone:
	VZEROUPPER
	MOVQ CX, ret+32(FP)
	RET

// func oddLettersAVX2(b []byte) int
TEXT ·oddLettersAVX2(SB), NOSPLIT, $0-32
	MOVQ         b_base+0(FP), SI
	MOVQ         b_len+8(FP), DX
	SUBQ         $65, DX // where the last block begins that has a byte behind it
	XORL         CX, CX
	VPBROADCASTQ slash<>(SB), Y8
	VPBROADCASTQ odd<>(SB), Y9

pairs:
	CMPQ     CX, DX
	JGT      pairsDone
	VPCMPEQB (SI)(CX*1), Y8, Y0
	VPCMPEQB 32(SI)(CX*1), Y8, Y1
	VPAND    1(SI)(CX*1), Y0, Y0 // the letters behind backslashes
	VPAND    33(SI)(CX*1), Y1, Y1
	VPOR     Y0, Y1, Y1
	VPTEST   Y9, Y1
	JNZ      pairsDone
	ADDQ     $64, CX
	JMP      pairs

pairsDone:
	VZEROUPPER
	MOVQ CX, ret+24(FP)
	RET

// func hasAVX2() bool
TEXT ·hasAVX2(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)
	XORL AX, AX
	CPUID
	CMPL AX, $7
	JLT  none
	MOVL $1, AX
	XORL CX, CX
	CPUID
	ANDL $(1<<27 | 1<<28), CX // OSXSAVE and AVX
	CMPL CX, $(1<<27 | 1<<28)
	JNE  none
	XORL CX, CX
	XGETBV
	ANDL $6, AX // the system keeps both halves of the registers
	CMPL AX, $6
	JNE  none
	MOVL $7, AX
	XORL CX, CX
	CPUID
	BTL  $5, BX // AVX2
	SETCS ret+0(FP)

none:
	RET
