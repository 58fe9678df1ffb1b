package main

import "bytes"

// A lexer reads JSON as it passes by, in pieces of any size: one value after
// another, or what is in server-sent events. It tells of the members at a few
// places, keeps none but the one that it is at, and makes no fuss about text
// that is no JSON: it finds nothing there.
type lexer struct {
	// events says that a blank line ends whatever came before it.
	events bool

	// found is told the scalars in objects at known places: numbers and
	// literals as they are, strings without their quotes and as they are
	// escaped, both cut at maxScalar. name and value are valid during the
	// call only. That an object at ofError begins it is told with no name.
	found func(in place, name, value []byte, text bool)

	depth  int
	at     [maxNesting]place // of the objects and arrays around
	key    bool              // the next string is a name
	string bool              // within a string
	escape bool              // behind its backslash
	wanted bool              // what the string says is of interest
	line   bool              // behind a line's end
	name   [maxScalar]byte
	names  int
	value  [maxScalar]byte
	values int
}

const (
	maxNesting = 8  // deeper than that nothing is of interest
	maxScalar  = 48 // longer than any name, number or kind of error
)

// A place is where in a response an object stands.
type place uint8

const (
	elsewhere place = iota
	list            // not an object: an array of responses
	top             // the response, or one event of it
	inner           // a response in an event
	ofUsage         // or its details
	ofError
)

// inside returns the place of the object that is the member of that name.
func (p place) inside(name []byte) place {
	switch p {
	case top, inner:
		switch string(name) {
		case "usage", "usageMetadata":
			return ofUsage
		case "error":
			return ofError
		case "message", "response":
			return inner
		}
	case ofUsage:
		switch string(name) {
		case "prompt_tokens_details", "input_tokens_details":
			return ofUsage
		}
	}
	return elsewhere
}

// Write takes the next piece. It always returns len(p), nil.
func (l *lexer) Write(p []byte) (int, error) {
	for i := 0; i < len(p); {
		switch {
		case l.string:
			i += l.text(p[i:])
		case l.here() == elsewhere:
			i += l.skip(p[i:])
		default:
			l.token(p[i])
			i++
		}
	}
	return len(p), nil
}

// here is the place that the lexer is in.
func (l *lexer) here() place {
	if l.depth == 0 || l.depth > maxNesting {
		return elsewhere
	}
	return l.at[l.depth-1]
}

// text reads what belongs to a string, and returns how much that is.
func (l *lexer) text(p []byte) int {
	if !l.wanted && !l.escape {
		if i := bytes.IndexByte(p, '"'); i > 0 && bytes.IndexByte(p[:i], '\\') < 0 && bytes.IndexByte(p[:i], '\n') < 0 {
			l.string = false
			return i + 1
		}
	}
	for i, c := range p {
		switch {
		case c == '\n' && l.events:
			l.reset() // no string goes over the end of a line
			return i
		case l.escape:
			l.escape = false
		case c == '\\':
			l.escape = true
		case c == '"':
			l.keep(p[:i])
			l.string = false
			if l.wanted {
				l.end(true)
			}
			return i + 1
		}
	}
	l.keep(p)
	return len(p)
}

// keep notes some of a name or value, as far as there is room.
func (l *lexer) keep(p []byte) {
	if !l.wanted {
		return
	}
	if l.key {
		l.names += copy(l.name[l.names:], p)
		return
	}
	l.values += copy(l.value[l.values:], p)
}

// end has read a name or a value to its end.
func (l *lexer) end(text bool) {
	if l.key {
		l.key = false
		return
	}
	if text || l.values > 0 {
		l.found(l.here(), l.name[:l.names], l.value[:l.values], text)
		l.values, l.names = 0, 0
	}
}

// skip reads what is of no interest up to a string or to the end of that, and
// returns how much that is.
func (l *lexer) skip(p []byte) int {
	for i, c := range p {
		switch c {
		case '"':
			l.string, l.wanted = true, false
			return i + 1
		case '{', '[', '}', ']':
			l.line = false
			l.nest(c)
			return i + 1
		case '\n':
			l.newline()
		case '\r':
		default:
			l.line = false
		}
	}
	return len(p)
}

// token reads one byte between the strings of an object or list of interest.
func (l *lexer) token(c byte) {
	if l.line && l.events && c != '\n' { // the name of a field, up to its colon
		l.line = c != ':'
		return
	}
	switch c {
	case ' ', '\t', '\r', '\n', ':', ',', '{', '[', '}', ']', '"':
		if !l.key {
			l.end(false)
		}
	}
	switch c {
	case ' ', '\t', '\r', ':':
	case '\n':
		l.newline()
	case ',':
		l.key = l.here() != list
	case '"':
		l.string, l.wanted = true, l.here() != list
	case '{', '[', '}', ']':
		l.nest(c)
	default:
		if l.values < maxScalar {
			l.value[l.values] = c
			l.values++
		}
	}
}

// nest goes into an object or array, or out of it.
func (l *lexer) nest(c byte) {
	if c == '}' || c == ']' {
		l.depth = max(0, l.depth-1)
		return
	}
	to := elsewhere
	switch here := l.here(); {
	case l.depth == 0 && c == '[':
		to = list
	case c == '[':
	case l.depth == 0, here == list:
		to = top
	default:
		to = here.inside(l.name[:l.names])
	}
	if l.depth < maxNesting {
		l.at[l.depth] = to
	}
	l.depth++
	l.key, l.names, l.values = c == '{', 0, 0
	if to == ofError && l.events {
		l.found(to, nil, nil, false)
	}
}

// newline ends what came before it if that is the second one.
func (l *lexer) newline() {
	if l.line && l.events {
		l.reset()
	}
	l.line = true
}

func (l *lexer) reset() {
	l.depth, l.string, l.escape = 0, false, false
}
