//go:build !purego

#include "textflag.h"

// func pastEscaped(b []byte, i int) int
//
// It is SSE2, which every amd64 has, and looks at quotes only until there are some
// in a block.
TEXT ·pastEscaped(SB), NOSPLIT, $0-40
	MOVQ b_base+0(FP), SI
	MOVQ b_len+8(FP), DX
	MOVQ i+24(FP), CX
	SUBQ $64, DX // where the last block begins at the latest

	MOVQ       $0x2222222222222222, AX // quotes
	MOVQ       AX, X8
	PUNPCKLQDQ X8, X8
	MOVQ       $0x5c5c5c5c5c5c5c5c, AX // backslashes
	MOVQ       AX, X9
	PUNPCKLQDQ X9, X9

block:
	CMPQ    CX, DX
	JGT     done
	MOVOU   (SI)(CX*1), X0
	MOVOU   16(SI)(CX*1), X1
	MOVOU   32(SI)(CX*1), X2
	MOVOU   48(SI)(CX*1), X3
	PCMPEQB X8, X0           // all ones for a byte that is a quote
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

	// Which of the quotes are not behind a backslash that is behind none. PANDN
	// turns over what it writes to.
	MOVOU   -1(SI)(CX*1), X4
	MOVOU   -2(SI)(CX*1), X5
	PCMPEQB X9, X4
	PCMPEQB X9, X5
	PANDN   X4, X5
	PANDN   X0, X5
	MOVOU   15(SI)(CX*1), X4
	MOVOU   14(SI)(CX*1), X6
	PCMPEQB X9, X4
	PCMPEQB X9, X6
	PANDN   X4, X6
	PANDN   X1, X6
	MOVOU   31(SI)(CX*1), X4
	MOVOU   30(SI)(CX*1), X7
	PCMPEQB X9, X4
	PCMPEQB X9, X7
	PANDN   X4, X7
	PANDN   X2, X7
	MOVOU   47(SI)(CX*1), X4
	MOVOU   46(SI)(CX*1), X0
	PCMPEQB X9, X4
	PCMPEQB X9, X0
	PANDN   X4, X0
	PANDN   X3, X0

	// One bit for each, in the order of the text.
	PMOVMSKB X5, AX
	PMOVMSKB X6, BX
	PMOVMSKB X7, R8
	PMOVMSKB X0, R9
	SHLQ     $16, BX
	ORQ      BX, AX
	SHLQ     $16, R9
	ORQ      R9, R8
	SHLQ     $32, R8
	ORQ      R8, AX
	JNZ      found

next:
	ADDQ $64, CX
	JMP  block

found:
	BSFQ AX, AX
	ADDQ AX, CX

done:
	MOVQ CX, ret+32(FP)
	RET
