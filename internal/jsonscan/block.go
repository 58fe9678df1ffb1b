package jsonscan

import "encoding/binary"

// blockSize is how many bytes are looked at together: as many as a word has bits. So a set
// of bytes of a block is a word with one bit for each, the lowest for the first byte.
const blockSize = 64

// Six functions are written twice: in assembly for amd64 with AVX2 (block_amd64.s), and in
// Go for all else and for the tag purego (block_words.go). Either must do this, which
// block_test.go checks:
//
//   - structure(p) returns which bytes of a block are quotes, and which are marks: all
//     bytes of at least '[' once bit 0x20 is cleared. They are the brackets, and others
//     that occur only inside strings in well-formed JSON, such as backslashes and all
//     bytes beyond ASCII.
//   - backslashes(p) returns which bytes of a block are backslashes.
//   - brackets(p) returns which bytes of a block are opening brackets, which are closing
//     ones, and which of these are braces. Of other bytes, braces says nothing.
//   - pastEscaped(b, i) looks for the end of the string that b[i] is in. b[i] must be right
//     after an escaped quote, since the two bytes before it are read as well. It returns
//     the offset of the quote that ends the string, or any offset before that: it gives
//     up where less than a block is left and, in Go, after a few blocks without a quote,
//     where bytes.IndexByte is quicker. The result may be right after a backslash.
//   - oddLetters(b) returns the offset of the first block of b, counted from its start,
//     that may have a backslash with an odd byte after it (see LongEscape). It stops where
//     no more than a block is left, and returns that offset.
//   - pair(b, far, first, second) returns the offset of the first byte of b that is first and
//     has second exactly far bytes after it. It stops where less than a block is left before
//     the last far bytes, and returns that offset.

// Constants for looking at the eight bytes of a word at once: the same byte eight times.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080

	eightQuotes      = '"' * ones
	eightBackslashes = '\\' * ones
)

// word returns the first eight bytes of b, the first in the lowest place.
//
// The functions that read whole blocks do not call it as a statement of its own: for an
// inlined call that has a line to itself the compiler inserts an instruction that does
// nothing, and these made up a tenth of the time. They call
// binary.LittleEndian.Uint64, or word within a line that does other work as well.
func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// equal returns 0 if no byte of w equals the one that pattern repeats eight times, and
// otherwise a number whose lowest set bit is the high bit of the first byte that does.
// Higher bits may be set without cause.
func equal(w, pattern uint64) uint64 {
	x := w ^ pattern // a zero byte where they are equal
	return (x - ones) &^ x & highs
}

// insides returns which bytes of a block are in a string, the opening quote included and
// the closing one not, given the quotes that are not escaped, and inside, which is 1 if
// the block begins inside a string. A bit of the result is the parity of all quotes up to
// that byte.
func insides(quotes, inside uint64) uint64 {
	quotes ^= quotes << 1
	quotes ^= quotes << 2
	quotes ^= quotes << 4
	quotes ^= quotes << 8
	quotes ^= quotes << 16
	quotes ^= quotes << 32
	return quotes ^ -inside
}

// escaped returns which bytes of a block are escaped, given its backslashes and whether
// its first byte is.
//
// A run of backslashes escapes every second byte, from its own second one up to the byte
// after it. Subtracting the backslashes from themselves moved up by one, with a one in
// every odd place, inverts every second bit from where a run begins to one past its end.
// simdjson does it that way.
func escaped(slashes uint64, first bool) uint64 {
	const odd = 0xaaaaaaaaaaaaaaaa
	carry := uint64(0)
	if first {
		carry = 1
	}
	begin := slashes &^ carry
	return (begin<<1 | odd) - begin ^ odd ^ (slashes | carry)
}
