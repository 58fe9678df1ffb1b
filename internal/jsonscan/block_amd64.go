//go:build !purego

package jsonscan

// What is done to a whole block is in assembly here: block_generic.go has the same
// in Go, for other processors.

// avx2 says whether there is AVX2, half as many instructions for twice as many bytes.
var avx2 = hasAVX2()

// hasAVX2 asks the processor, and whether the system saves the registers.
func hasAVX2() bool

// structure returns which bytes of a block are quotes and which are marks: brackets,
// and others that never stand outside a string, backslashes among them.
//
//go:noescape
func structure(p *[blockSize]byte) (quotes, marks uint64)

// pastEscaped goes on through the string that b[i] is in, right behind a quote that is
// escaped. It returns the offset of the quote that ends the string, or where less than a
// block is left, which may be behind a backslash.
//
//go:noescape
func pastEscaped(b []byte, i int) int

// oddLetters returns the offset of the first block of b in which a backslash has an odd
// byte behind it, or seems to, or where no more than a block is left. Blocks are counted
// from the start.
func oddLetters(b []byte) int {
	if avx2 {
		return oddLettersAVX2(b)
	}
	return oddLettersByWords(b)
}

//go:noescape
func oddLettersAVX2(b []byte) int
