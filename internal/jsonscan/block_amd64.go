//go:build !purego

package jsonscan

// The contracts of structure, backslashes, brackets, pastEscaped and oddLetters are in
// block.go.

// avx2 says whether the processor has AVX2, whose registers hold 32 bytes rather than 16.
// The assembly reads it as well, and TestWithoutAVX2 clears it. (That has to clear the flag
// of any wider variant, too, or it tests that one.)
var avx2 = hasAVX2()

// hasAVX2 reports whether the processor has AVX2 and the operating system saves its
// registers.
func hasAVX2() bool

//go:noescape
func structure(p *[blockSize]byte) (quotes, marks uint64)

//go:noescape
func backslashes(p *[blockSize]byte) (slashes uint64)

//go:noescape
func brackets(p *[blockSize]byte) (opens, closes, braces uint64)

//go:noescape
func pastEscaped(b []byte, i int) int

func oddLetters(b []byte) int {
	if avx2 {
		return oddLettersAVX2(b)
	}
	return oddLettersByWords(b)
}

//go:noescape
func oddLettersAVX2(b []byte) int
