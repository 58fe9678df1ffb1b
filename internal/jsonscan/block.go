package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// blockSize is how many bytes are looked at together: as many as a word has
// bits. What is found in a block is a word with one bit for each byte.
//
// By columns, the bit of byte k of the block's word j is bit j of byte k of what is
// found: that takes the least to gather. In the order of the text, the lowest bit is
// for the first byte: that is how brackets are gone through. The one is the other's
// [transpose].
const blockSize = 64

// What is done to the eight bytes of a word at once.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080

	quotes      = '"' * ones
	backslashes = '\\' * ones
)

// patterns are constants in memory, from where a function reads them once. The
// compiler writes real ones, ten bytes each, into every place where they are
// used, which is what then takes the time.
var patterns = struct{ quote, slash, upper, bracket, one, high, low uint64 }{
	quote:   quotes ^ ^uint64(highs),
	slash:   backslashes ^ ^uint64(highs),
	upper:   0x5f * ones,
	bracket: (0x80 - '[') * ones,
	one:     ones,
	high:    highs,
	low:     ^uint64(highs),
}

// word returns the first eight bytes of b. Who reads whole blocks does without it,
// and has each of its readings stand in a line with other work: for a call that is
// inlined and has no line of its own, the compiler puts in an instruction that does
// nothing, and these made up a tenth.
func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// equal returns 0 if no byte in w is that of pattern, and else a number whose
// lowest bit is the high bit of the first that is.
func equal(w, pattern uint64) uint64 {
	x := w ^ pattern // a zero byte where they are equal
	return (x - ones) &^ x & highs
}

// match sets the high bit of each byte in w that is that of pattern, given with
// its seven low bits turned over, if w is ASCII. Other bits it sets as it likes.
func match(w, pattern, one uint64) uint64 { return (w ^ pattern) + one }

// marked sets the high bit of each byte in w that is a bracket, or never stands
// outside a string but for the quotes, if w is ASCII: those that, without the bit
// that tells '{' from '[', are '[' or more. Other bits it sets as it likes.
func marked(w, upper, bracket uint64) uint64 { return w&upper + bracket }

// structure returns, by columns, which bytes of a block are quotes and which are
// marks: brackets, and others that never stand outside a string, backslashes among
// them.
func structure(p *[blockSize]byte) (found, marks uint64) {
	quote, upper, bracket, one, high := patterns.quote, patterns.upper, patterns.bracket, patterns.one, patterns.high
	w := binary.LittleEndian.Uint64(p[0:])
	all := w
	found, marks = match(w, quote, one)&high, marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[8:]), all|w
	found, marks = found>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[16:]), all|w
	found, marks = found>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[24:]), all|w
	found, marks = found>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[32:]), all|w
	found, marks = found>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[40:]), all|w
	found, marks = found>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[48:]), all|w
	found, marks = found>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[56:]), all|w
	found, marks = found>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	if (all|w)&high != 0 {
		return anyStructure(p)
	}
	return found, marks
}

// anyStructure is structure for blocks that need not be ASCII.
func anyStructure(p *[blockSize]byte) (found, marks uint64) {
	quote, upper, bracket, one, high, low := patterns.quote, patterns.upper, patterns.bracket, patterns.one, patterns.high, patterns.low
	for i := 0; i < blockSize; i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		found, marks = found>>1|match(w&low, quote, one)&^w&high, marks>>1|(marked(w, upper, bracket)|w)&high
	}
	return found, marks
}

// escapes returns, by columns, which bytes of a block are quotes and which are
// backslashes.
func escapes(p *[blockSize]byte) (found, slashes uint64) {
	quote, slash, one, high, low := patterns.quote, patterns.slash, patterns.one, patterns.high, patterns.low
	for i := 0; i < blockSize; i += 16 {
		w := word(p[i:])
		ascii := high &^ w
		w &= low
		found, slashes = found>>1|match(w, quote, one)&ascii, slashes>>1|match(w, slash, one)&ascii
		w = word(p[i+8:])
		ascii = high &^ w
		w &= low
		found, slashes = found>>1|match(w, quote, one)&ascii, slashes>>1|match(w, slash, one)&ascii
	}
	return found, slashes
}

// after returns which bytes are right behind those in x, given whether the one
// before the block is one of them. All is by columns.
func after(x, before uint64) uint64 { return x<<8 | x>>55&0xfe | before }

// last returns whether the last byte of a block is one of those in x, which may be
// either way.
func last(x uint64) uint64 { return x >> 63 }

// insides returns which bytes of a block are in a string, the quote before it
// included, given the quotes and whether the byte before the block is in one. All
// is by columns.
func insides(found, inside uint64) uint64 {
	// The parity of the number of quotes up to each byte of its word,
	found ^= found << 8
	found ^= found << 16
	found ^= found << 32
	// and in all words before.
	words := found >> 56
	words ^= words << 1
	words ^= words << 2
	words ^= words << 4
	return found ^ words<<1&0xff*ones ^ -inside
}

// unescaped returns which of the quotes in a block are not escaped, given the
// backslashes. first is one if the first byte of the block is escaped. All is by
// columns.
func unescaped(found, slashes, first uint64) uint64 {
	behind1 := after(slashes, first)
	behind2 := after(slashes&behind1, 0)
	behind3 := after(slashes&behind2, 0)
	if found&after(slashes&behind3, 0) == 0 {
		// None is behind more than three backslashes.
		return found & (^behind1 | behind2&^behind3)
	}
	// In the order of the text a run of backslashes that begin escapes ends an
	// odd number of bytes from its start if adding one at its start carries from
	// an even place to an odd one or the other way round.
	const odd = 0xaaaaaaaaaaaaaaaa
	slashes = transpose(slashes)
	begin := slashes &^ first
	pairs := (begin<<1 | odd - begin) ^ odd
	return found &^ transpose(pairs^(slashes|first))
}

// transpose puts what is by columns in the order of the text, and the other way
// round.
func transpose(x uint64) uint64 {
	// An 8 by 8 matrix: single bits change places across the diagonal of every
	// 2 by 2, then pairs of every 4 by 4, then fours.
	t := (x ^ x>>7) & 0x00aa00aa00aa00aa
	x ^= t ^ t<<7
	t = (x ^ x>>14) & 0x0000cccc0000cccc
	x ^= t ^ t<<14
	t = (x ^ x>>28) & 0x00000000f0f0f0f0
	return x ^ t ^ t<<28
}

// plainUntil returns the offset of a byte, from b[i] on, before which there is
// no quote, no bracket and nothing else but what may stand between strings.
func plainUntil(b []byte, i int) int {
	quote, upper, bracket, one, high := patterns.quote, patterns.upper, patterns.bracket, patterns.one, patterns.high
	for len(b)-i >= 32 {
		p := (*[32]byte)(b[i:])
		w0, w1, w2, w3 := word(p[0:]), word(p[8:]), word(p[16:]), word(p[24:])
		if (marked(w0, upper, bracket)|match(w0, quote, one)|w0|
			marked(w1, upper, bracket)|match(w1, quote, one)|w1|
			marked(w2, upper, bracket)|match(w2, quote, one)|w2|
			marked(w3, upper, bracket)|match(w3, quote, one)|w3)&high != 0 {
			break
		}
		i += 32
	}
	return i
}

// backslash returns the offset of the first backslash in b, or -1. A short way is
// quicker by words than with IndexByte, which is at its best where the way is long.
func backslash(b []byte) int {
	if len(b) < 16 {
		return bytes.IndexByte(b, '\\')
	}
	if m := equal(word(b), backslashes); m != 0 {
		return bits.TrailingZeros64(m) / 8
	}
	if m := equal(word(b[8:]), backslashes); m != 0 {
		return 8 + bits.TrailingZeros64(m)/8
	}
	n := bytes.IndexByte(b[16:], '\\')
	if n < 0 {
		return -1
	}
	return 16 + n
}
