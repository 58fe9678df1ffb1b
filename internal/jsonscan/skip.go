package jsonscan

// space returns the offset of the first byte from b[i] on that is not white space. An
// offset outside the text stays as it is: so does -1, which stands for a mistake.
func space(b []byte, i int) int {
	if uint(i) < uint(len(b)) && b[i] <= ' ' {
		return someSpace(b, i)
	}
	return i
}

// someSpace is the slow part of space, apart from it so that space is inlined. White
// space is mostly one blank, or a line feed and an indentation, of which it takes
// eight blanks at a time.
func someSpace(b []byte, i int) int {
	const spaces uint64 = 1<<' ' | 1<<'\n' | 1<<'\t' | 1<<'\r'
	for i < len(b) && b[i] <= ' ' && spaces>>b[i]&1 != 0 {
		i++
		if b[i-1] == '\n' {
			for len(b)-i >= 8 && word(b[i:]) == ' '*ones {
				i += 8
			}
		}
	}
	return i
}

// skip returns where the value ends that starts at b[i], or -1: what [Cursor.Skip]
// promises. The offset must not be beyond the end of b. It is fast because it is one loop,
// with the open brackets as bits in a register.
func skip(b []byte, i int) int {
	if i == len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return endOfString(b, i+1)
	case '{', '[':
		return skipNested(b, i)
	}
	return scalar(b, i)
}

// skipNested is skip for an object or an array, whose bracket is b[i].
//
// The innermost open brackets are in the local kinds, laid out like nesting.kinds, which open
// does not use: a local can stay in a register.
func skipNested(b []byte, i int) int {
	var open nesting
	kinds, ok := 2|brace(b[i]), false
	i = space(b, i+1)
	if uint(i) < uint(len(b)) && b[i] == closer(kinds) {
		return i + 1
	}
	for {
		// Here comes a name and a value, or in an array a value.
		if kinds&1 != 0 {
			if uint(i) >= uint(len(b)) || b[i] != '"' {
				return -1
			}
			i = space(b, endOfString(b, i+1))
			if uint(i) >= uint(len(b)) || b[i] != ':' {
				return -1
			}
			i = space(b, i+1)
		}
		if uint(i) >= uint(len(b)) {
			return -1
		}
		switch c := b[i]; c {
		case '"':
			i = endOfString(b, i+1)
		case '{', '[':
			if kinds = kinds<<1 | brace(c); kinds >= full {
				if kinds, ok = open.spill(kinds); !ok {
					return -1
				}
			}
			i = space(b, i+1)
			if uint(i) >= uint(len(b)) || b[i] != c+2 { // c+2 is the closing bracket
				continue
			}
		default:
			i = scalar(b, i)
		}
		// Here a value has ended, or an empty object or array is about to. Close
		// all that closes here, and go on after the comma.
		for {
			i = space(b, i)
			if uint(i) >= uint(len(b)) {
				return -1
			}
			if b[i] == ',' {
				break
			}
			if b[i] != closer(kinds) {
				return -1
			}
			i++
			if kinds >>= 1; kinds < 2 {
				if kinds, ok = open.fill(); !ok {
					return i
				}
			}
		}
		i = space(b, i+1)
	}
}

// scalar returns where the number or literal ends that starts at b[i], or -1.
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

// literal returns where s ends if it is at b[i], or -1.
func literal(b []byte, i int, s string) int {
	if len(b)-i < len(s) || string(b[i:i+len(s)]) != s {
		return -1
	}
	return i + len(s)
}

// number returns where the number ends that starts at b[i], or -1.
func number(b []byte, i int) int {
	if '1' <= b[i] && b[i] <= '9' {
		// Most numbers are short and have neither a fraction nor an exponent.
		const short = 8
		n := i + 1
		for n < len(b) && n < i+short && '0' <= b[n] && b[n] <= '9' {
			n++
		}
		if n == len(b) || n < i+short && b[n] != '.' && b[n]|0x20 != 'e' {
			return n
		}
	}
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = digits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = digits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		i = digits(b, i)
	}
	return i
}

// digits returns where the digits end that start at b[i], or -1 if there are none.
func digits(b []byte, i int) int {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}
