package jsonscan

import "math/bits"

// skim returns the offset behind the value that starts at b[i], or -1: what
// [Cursor.Skim] promises.
func skim(b []byte, i int) int {
	if i == len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return str(b, i+1)
	case '{', '[':
		return closes(b, i+1, b[i])
	default:
		return scalar(b, i)
	}
}

// scalar returns the offset behind the number or literal that starts at b[i], or
// -1.
func scalar(b []byte, i int) int {
	if b[i] <= '9' {
		return number(b, i)
	}
	switch b[i] {
	case 't':
		return literal(b, i, "true")
	case 'f':
		return literal(b, i, "false")
	case 'n':
		return literal(b, i, "null")
	}
	return -1
}

// closes returns the offset behind the bracket that closes one that is open, from
// b[i] on, which is outside of all strings; or -1. The open one is a brace if
// kind is, of whichever side.
func closes(b []byte, i int, kind byte) int {
	switch i = pastStrings(b, i); {
	case i < 0:
		return -1
	case i < len(b) && b[i] == ']'+byte(brace(kind)<<5):
		return i + 1
	}
	return closesByBlocks(b, i, kind)
}

// pastStrings returns the offset behind a few strings from b[i] on, commas and
// colons included, or -1 if one does not end: many objects have nothing else, and
// are quicker gone through one by one.
func pastStrings(b []byte, i int) int {
	const few = 6
	for range few {
		if i < len(b) && (b[i] == ',' || b[i] == ':') {
			i++
		}
		if i >= len(b) || b[i] != '"' {
			break
		}
		if i = str(b, i+1); i < 0 {
			break
		}
	}
	return i
}

// closesByBlocks is closes for what is not known to be small.
//
// It goes through the text by blocks. Where a block has quotes is a word with
// one bit for each byte, and so is what is inside a string, which is between an
// odd quote and an even one. The brackets that are left outside are all that is
// looked at one by one. Where there is nothing to be found for long, inside a
// string or in a list of numbers, it goes on in bigger steps.
func closesByBlocks(b []byte, i int, kind byte) int {
	open := nesting{kinds: 2 | brace(kind)}
	inside := uint64(0) // one if the block begins inside a string
	for ; i < len(b); i += blockSize {
		var block *[blockSize]byte
		if len(b)-i >= blockSize {
			block = (*[blockSize]byte)(b[i:])
		} else {
			var rest [blockSize]byte
			copy(rest[:], b[i:])
			block = &rest
		}
		quotes, marks := structure(block)
		strings := insides(quotes, inside)
		escaped := blockSize // the offset of a quote that is
		if q := quotes & ((marks&strings)<<1 | inside); q != 0 {
			// There may be backslashes before these. Up to the first that is
			// escaped, strings is right.
			escaped = firstEscaped(b, i, q)
		}
		if m := marks &^ strings; m != 0 {
			left, ok := open.take(block, m&(1<<escaped-1))
			if !ok {
				return -1
			}
			if left != 0 {
				return i + bits.TrailingZeros64(left) + 1
			}
		}
		inside = strings >> 63
		switch {
		case escaped < blockSize:
			i = longStrs(b, i+escaped+1, true)
		case inside != 0 && quotes == 0:
			i = longStrs(b, i+blockSize, false)
		case inside|quotes|marks == 0:
			i = plainUntil(b, i+blockSize) - blockSize
			continue
		default:
			continue
		}
		if i < 0 {
			return -1
		}
		i, inside = i-blockSize, 0
	}
	return -1
}

// firstEscaped returns the offset from b[i] of the first of some quotes in a block,
// all of them in strings, that is escaped, or blockSize.
func firstEscaped(b []byte, i int, quotes uint64) int {
	for ; quotes != 0; quotes &= quotes - 1 {
		if at := bits.TrailingZeros64(quotes); oddBackslashes(b, i+at) {
			return at
		}
	}
	return blockSize
}
