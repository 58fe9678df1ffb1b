package extract

import (
	"bytes"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// A text is plain if quotes, backslashes and control characters are escaped in
// it, in the shortest way, and nothing else is: all that is below relies on one
// way to write it. Most texts come like that. Some JSON writers escape slashes,
// angle brackets or all that is not ASCII, and proxies write anew what they pass
// on.

// scratch lends room for texts that have to be written anew.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// borrow returns an empty slice from scratch with room for n bytes.
func borrow(n int) *[]byte {
	room := scratch.Get().(*[]byte)
	if cap(*room) < n {
		*room = make([]byte, 0, n)
	}
	*room = (*room)[:0]
	return room
}

// withPlain calls f with a text, given as it stands between its quotes, made
// plain. If it is lent, it is good until f returns.
func withPlain(raw []byte, f func(text []byte, lent bool)) {
	odd := oddEscape(raw)
	if odd < 0 {
		f(raw, false)
		return
	}
	room := borrow(len(raw))
	*room = appendPlain(append(*room, raw[:odd]...), raw[odd:])
	f(*room, true)
	scratch.Put(room)
}

// oddEscape returns the offset of the first escape that keeps a text from being
// plain, or -1.
func oddEscape(raw []byte) int {
	if !jsonscan.OddPairs(raw) {
		return -1
	}
	for i := 0; ; i += 2 {
		n := 0
		if i < len(raw) && raw[i] != '\\' {
			n = bytes.IndexByte(raw[i:], '\\')
		}
		if i += n; n < 0 || i+1 >= len(raw) {
			return -1
		}
		switch raw[i+1] {
		case '"', '\\', 'b', 'f', 'n', 'r', 't':
		default:
			return i
		}
	}
}

// appendPlain appends a text, made plain.
func appendPlain(dst, raw []byte) []byte {
	for len(raw) > 0 {
		if raw[0] != '\\' {
			n := bytes.IndexByte(raw, '\\')
			if n < 0 {
				n = len(raw)
			}
			dst, raw = append(dst, raw[:n]...), raw[n:]
			continue
		}
		if len(raw) > 1 && raw[1] != 'u' { // short, or none: it stays, but for a slash
			if raw[1] != '/' {
				dst = append(dst, '\\')
			}
			dst, raw = append(dst, raw[1]), raw[2:]
			continue
		}
		r, n := jsonscan.Escape(raw)
		switch {
		case n == 0: // none, and stays as it is
			n = min(2, len(raw))
			dst = append(dst, raw[:n]...)
		case r < ' ':
			dst = appendControl(dst, byte(r))
		case r == '"', r == '\\':
			dst = append(dst, '\\', byte(r))
		default:
			dst = utf8.AppendRune(dst, r)
			dst, raw = jsonscan.AppendWide(dst, raw[n:]) // more of the kind
			continue
		}
		raw = raw[n:]
	}
	return dst
}

// appendControl appends the shortest escape of a control character.
func appendControl(dst []byte, c byte) []byte {
	switch c {
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// textSum returns the digest of a text, given as it stands between its quotes:
// however it is escaped, the digest is the same.
func textSum(raw []byte) (h uint64) {
	withPlain(raw, func(text []byte, _ bool) { h = xxhash.Sum64(text) })
	return h
}

// value returns the digest of the next value: the same for every order of
// members, white space and way to escape, and without what clients add for
// caching.
func (t *trail) value(c *jsonscan.Cursor) uint64 {
	switch c.Kind() {
	case '"':
		raw, _ := c.String()
		return textSum(raw)
	case '[':
		var s sum
		for ok := c.Array(); ok && c.Element() && t.more(); {
			s = s.add(arraySalt, t.value(c))
		}
		return s.add(endSalt, 0)[0]
	case '{':
		var members uint64
		var room nameRoom
		c.Object()
		for t.more() {
			raw, ok := c.Key()
			if !ok {
				break
			}
			if ephemeral(room.read(raw)) {
				c.Skim()
				continue
			}
			// The sum does not depend on the order of the members.
			members += sum{textSum(raw)}.add(objectSalt, t.value(c))[0]
		}
		return sum{members}.add(endSalt, 1)[0]
	}
	return sum{}.add(endSalt, xxhash.Sum64(c.Skim()))[0]
}

// ephemeral reports whether a member comes and goes between two turns.
func ephemeral(name []byte) bool {
	switch string(name) {
	case "cache_control", "cachePoint", "cache_point":
		return true
	}
	return false
}

// cutBilling cuts off the line with which Claude Code opens its system prompt, and white
// space at both ends: it holds the client's version and, in some versions, a hash of the
// request. Proxies that translate put it on top of whatever they make of the system prompt.
func cutBilling(raw []byte) (billing, rest []byte) {
	const header = "x-anthropic-billing-header:"
	rest = trim(raw)
	if len(rest) < len(header) || !bytes.EqualFold(rest[:len(header)], []byte(header)) {
		return nil, rest
	}
	end := lineEnd(rest)
	if end < 0 {
		return rest, nil
	}
	return rest[:end], skipSpace(rest[end:])
}

// lineEnd returns the offset of the first line break in a text, plain or not, or -1.
func lineEnd(raw []byte) int {
	for i := 0; ; i += 2 { // from one escape to the next
		n := bytes.IndexByte(raw[i:], '\\')
		if n < 0 {
			return -1
		}
		i += n
		switch escape := raw[i:]; {
		case len(escape) < 2:
			return -1
		case escape[1] == 'n', bytes.HasPrefix(escape, []byte(`\u000a`)), bytes.HasPrefix(escape, []byte(`\u000A`)):
			return i
		}
	}
}

// withoutBilling returns what cutBilling leaves.
func withoutBilling(raw []byte) []byte {
	_, rest := cutBilling(raw)
	return rest
}

// trim cuts off white space at both ends of a plain text.
func trim(raw []byte) []byte { return skipSpaceBack(skipSpace(raw)) }

// skipSpace cuts off leading white space.
func skipSpace(raw []byte) []byte {
	for {
		switch {
		case len(raw) > 0 && raw[0] == ' ':
			raw = raw[1:]
		case len(raw) > 1 && raw[0] == '\\' && (raw[1] == 'n' || raw[1] == 'r' || raw[1] == 't'):
			raw = raw[2:]
		default:
			return raw
		}
	}
}

// skipSpaceBack cuts off trailing white space.
func skipSpaceBack(raw []byte) []byte {
	for {
		n := len(raw)
		switch {
		case n > 0 && raw[n-1] == ' ':
			raw = raw[:n-1]
		case n > 1 && raw[n-2] == '\\' && (raw[n-1] == 'n' || raw[n-1] == 'r' || raw[n-1] == 't') && backslashesBefore(raw[:n-1])%2 == 1:
			raw = raw[:n-2]
		default:
			return raw
		}
	}
}

// injectedTags are the elements in which clients wrap what they put into a
// person's message, as they open and close them.
var injectedTags = tags(
	"system-reminder",      // Claude Code, Qwen Code
	"system_reminder",      // Crush
	"environment_context",  // Codex
	"user_instructions",    // Codex
	"session_context",      // Gemini CLI
	"environment_details",  // Cline, Roo Code
	"environment_info",     // Copilot Chat
	"workspace_info",       // Copilot Chat
	"editorContext",        // Copilot Chat, in the last message only
	"reminderInstructions", // Copilot Chat, so
	"info-msg",             // Goose, in the last message only
	"memory-context",       // Hermes, in the last message only
	"SYSTEM_MESSAGE",       // Void, where the model takes no system prompt
)

type tag struct{ open, close []byte }

func tags(names ...string) (tags []tag) {
	for _, name := range names {
		tags = append(tags, tag{[]byte("<" + name + ">"), []byte("</" + name + ">")})
	}
	return tags
}

// split parts a plain text into the words of a person and the elements that a
// client injected before and behind them, which it hands to inject. The white
// space around both is nobody's: it stays or goes with the elements.
func split(raw []byte, inject func([]byte)) (words []byte) {
	words = trim(raw)
	if bytes.IndexByte(words, '<') < 0 {
		return words
	}
	if n := lookedUp(words); n > 0 {
		inject(words[:n])
		words = skipSpace(words[n:])
		if query, ok := bytes.CutPrefix(words, []byte("<user_query>")); ok {
			words = trim(bytes.TrimSuffix(query, []byte("</user_query>")))
		}
	}
	for len(words) > 0 && words[0] == '<' {
		i := slices.IndexFunc(injectedTags, func(t tag) bool { return bytes.HasPrefix(words, t.open) })
		if i < 0 {
			break
		}
		end := bytes.Index(words, injectedTags[i].close)
		if end < 0 {
			break // clients close what they open: somebody writes about the tag
		}
		end += len(injectedTags[i].close)
		inject(words[:end])
		words = skipSpace(words[end:])
	}
	for len(words) > 0 && words[len(words)-1] == '>' {
		i := slices.IndexFunc(injectedTags, func(t tag) bool { return bytes.HasSuffix(words, t.close) })
		if i < 0 {
			break
		}
		start := bytes.LastIndex(words, injectedTags[i].open)
		if start < 0 {
			break
		}
		inject(words[start:])
		words = skipSpaceBack(words[:start])
	}
	return words
}

// lookedUp returns the length of what a client has looked up for a question, in front of
// it, and shows with the last one only; 0 if there is nothing of the kind. Many
// applications do so in words of their own, and keep them: these are a person's.
func lookedUp(words []byte) int {
	end := []byte("</context>")
	n := 0
	switch {
	case bytes.HasPrefix(words, []byte(`### Task:\nRespond to the user query using the provided context`)): // Open WebUI
		n = bytes.LastIndex(words, end)
	case bytes.HasPrefix(words, []byte("<context>")) && bytes.Contains(words, []byte("<reminderInstructions>")): // Copilot Chat
		n = bytes.Index(words, end)
	}
	if n <= 0 || len(skipSpace(words[n+len(end):])) == 0 {
		return 0
	}
	return n + len(end)
}

// backslashesBefore returns how many backslashes raw ends in.
func backslashesBefore(raw []byte) int {
	n := len(raw)
	for n > 0 && raw[n-1] == '\\' {
		n--
	}
	return len(raw) - n
}
