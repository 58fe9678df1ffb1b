//go:build !purego

#include "textflag.h"

// All of this is SSE2, which every amd64 has.

// A block is compared with these, sixteen bytes at a time.
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

// BITS gathers the high bits of the 64 bytes in a, b, c and d: one bit for each, the
// lowest for the first, in AX. It takes BX, R8 and R9.
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

// MARKED sets the high bit of each byte in to where that in from is a mark: one that,
// without the bit that tells '{' from '[', is '[' or more, or is not ASCII.
#define MARKED(from, to) \
	MOVOA   from, to; \
	PAND    X9, to;   \
	PCMPGTB X10, to;  \
	POR     from, to

// func structure(p *[blockSize]byte) (quotes, marks uint64)
TEXT ·structure(SB), NOSPLIT, $0-24
	MOVQ  p+0(FP), SI
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

// UNESCAPED leaves in quotes, which has all ones for each byte at an offset from the
// block that is a quote, those not behind a backslash that is behind none. It
// takes X4. PANDN turns over what it writes to.
#define UNESCAPED(offset, quotes, to) \
	MOVOU   (offset-1)(SI)(CX*1), X4; \
	MOVOU   (offset-2)(SI)(CX*1), to; \
	PCMPEQB X9, X4;                   \
	PCMPEQB X9, to;                   \
	PANDN   X4, to;                   \
	PANDN   quotes, to

// func pastEscaped(b []byte, i int) int
//
// It looks at quotes only until there are some in a block.
TEXT ·pastEscaped(SB), NOSPLIT, $0-40
	MOVQ  b_base+0(FP), SI
	MOVQ  b_len+8(FP), DX
	MOVQ  i+24(FP), CX
	SUBQ  $64, DX          // where the last block begins at the latest
	MOVOU quote<>(SB), X8
	MOVOU slash<>(SB), X9

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
	BITS(X5, X6, X7, X0)
	TESTQ AX, AX
	JNZ   found

next:
	ADDQ $64, CX
	JMP  block

found:
	BSFQ AX, AX
	ADDQ AX, CX

done:
	MOVQ CX, ret+32(FP)
	RET
