//go:build !amd64 || purego

package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// The contracts of structure, backslashes, brackets, pastEscaped and oddLetters are in
// block.go.
//
// The eight words of a block are gone through one by one, and what is found is gathered
// by columns at first, since that takes the fewest instructions: byte k of word j of the
// block is bit j of byte k of the result. transpose brings the bits into the order of the
// text. The loops are unrolled by hand.

func structure(p *[blockSize]byte) (quotes, marks uint64) {
	quote, upper, bracket, one, high := patterns.quote, patterns.upper, patterns.bracket, patterns.one, patterns.high
	w := binary.LittleEndian.Uint64(p[0:])
	all := w
	quotes, marks = match(w, quote, one)&high, marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[8:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[16:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[24:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[32:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[40:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[48:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	w, all = binary.LittleEndian.Uint64(p[56:]), all|w
	quotes, marks = quotes>>1|match(w, quote, one)&high, marks>>1|marked(w, upper, bracket)&high
	if (all|w)&high != 0 {
		quotes, marks = anyStructure(p)
	}
	return transpose(quotes), transpose(marks)
}

// anyStructure is structure for blocks that are not all ASCII, without transpose.
func anyStructure(p *[blockSize]byte) (quotes, marks uint64) {
	quote, upper, bracket, one, high, low := patterns.quote, patterns.upper, patterns.bracket, patterns.one, patterns.high, patterns.low
	for i := 0; i < blockSize; i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		quotes, marks = quotes>>1|match(w&low, quote, one)&^w&high, marks>>1|(marked(w, upper, bracket)|w)&high
	}
	return quotes, marks
}

func backslashes(p *[blockSize]byte) (slashes uint64) {
	slash, one, high, low := patterns.slash, patterns.one, patterns.high, patterns.low
	for i := 0; i < blockSize; i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		slashes = slashes>>1 | match(w&low, slash, one)&^w&high
	}
	return transpose(slashes)
}

func brackets(p *[blockSize]byte) (opens, closes, braces uint64) {
	high, low := patterns.high, patterns.low
	for i := 0; i < blockSize; i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		lower := (w | 0x20*ones) & low
		opens = opens>>1 | match(lower, '{'*ones^low, ones)&^w&high
		closes = closes>>1 | match(lower, '}'*ones^low, ones)&^w&high
		braces = braces>>1 | w<<2&high
	}
	return transpose(opens), transpose(closes), transpose(braces)
}

func pastEscaped(b []byte, i int) int {
	const few = 4 // blocks without a quote that are gone through
	quote, slash, one, high := patterns.quote, patterns.slash, patterns.one, patterns.high
	before1, before2 := uint64(0), uint64(0) // 1 if one backslash stands before the block, and if two do
	for left := few; i <= len(b)-blockSize && left > 0; i += blockSize {
		p := (*[blockSize]byte)(b[i:])
		w := binary.LittleEndian.Uint64(p[0:])
		all := w
		quotes, slashes := match(w, quote, one)&high, match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[8:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[16:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[24:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[32:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[40:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[48:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		w, all = binary.LittleEndian.Uint64(p[56:]), all|w
		quotes, slashes = quotes>>1|match(w, quote, one)&high, slashes>>1|match(w, slash, one)&high
		if (all|w)&high != 0 {
			quotes, slashes = anyEscapes(p)
		}
		behind1 := after(slashes, before1)
		twice := slashes & behind1
		if quotes&(^behind1|after(twice, before2)) != 0 {
			// Some quote has no backslash before it, or two or more. (All others have
			// just one, and are escaped.) So count the backslashes exactly.
			if q := transpose(quotes) &^ escaped(transpose(slashes), oddBackslashes(b, i)); q != 0 {
				return i + bits.TrailingZeros64(q)
			}
		}
		before1, before2 = slashes>>63, twice>>63
		if left--; quotes != 0 {
			left = few
		}
	}
	return i
}

// anyEscapes returns, by columns, which bytes of a block are quotes and which are
// backslashes. The block need not be ASCII.
func anyEscapes(p *[blockSize]byte) (quotes, slashes uint64) {
	quote, slash, one, high, low := patterns.quote, patterns.slash, patterns.one, patterns.high, patterns.low
	for i := 0; i < blockSize; i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		ascii := high &^ w
		quotes, slashes = quotes>>1|match(w&low, quote, one)&ascii, slashes>>1|match(w&low, slash, one)&ascii
	}
	return quotes, slashes
}

// after returns which bytes stand right behind those in x, given whether the last byte
// before the block is one of them. Argument and result are by columns.
func after(x, before uint64) uint64 { return x<<8 | x>>55&0xfe | before }

func oddLetters(b []byte) int { return oddLettersByWords(b) }

// transpose brings a word that is by columns into the order of the text.
func transpose(x uint64) uint64 {
	// An 8 by 8 bit matrix is transposed: single bits change places across the
	// diagonal of each 2 by 2 square, then 2 by 2 squares in each 4 by 4, then 4 by 4.
	t := (x ^ x>>7) & 0x00aa00aa00aa00aa
	x ^= t ^ t<<7
	t = (x ^ x>>14) & 0x0000cccc0000cccc
	x ^= t ^ t<<14
	t = (x ^ x>>28) & 0x00000000f0f0f0f0
	return x ^ t ^ t<<28
}
