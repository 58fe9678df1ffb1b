package extract

import (
	"bytes"
	"cmp"
	"slices"
)

// Bots that people write to from a messenger tell the model the time, who writes in which chat
// and what they remember, in the text of the last message only. This file removes that from the
// text, for split.

// A note is what a bot writes before a question. It begins with opening and ends with closing.
type note struct{ opening, closing string }

var (
	notes = []note{
		{runtimeContext, "[/Runtime Context]"},          // nanobot and its descendants; see also injectedTags and cutNotes
		{"[Memory context]", "[/Memory context]"},       // ZeroClaw
		{"[turn-context] time=", `\n\n\n\n`},            // ZeroClaw
		{"<relevant-memories>", "</relevant-memories>"}, // OpenClaw, after the time
		{"Delivery: to send a message, use the `message` tool.", `\n`},
		{"Delivery: Final assistant text is not automatically delivered in this run.", `\n`},
		{"Delivery: No visible reply is delivered automatically in this run,", `\n`},
		{"requester_profile is the verified linked requester.", `\n`},
	}
	// contexts are messages of OpenClaw's own. What joins messages puts the question after the
	// closing; without that, the whole text is a note.
	contexts = []note{
		{`OpenClaw runtime context:\n`, `\nEnd OpenClaw runtime context.`},
		{`OpenClaw runtime context for the immediately preceding user message.\n`, "<<<END_OPENCLAW_INTERNAL_CONTEXT>>>"}, // before
		{"OpenClaw runtime context for the active user request in this turn.", "<<<END_OPENCLAW_INTERNAL_CONTEXT>>>"},
		{`OpenClaw runtime event.\n`, "<<<END_OPENCLAW_INTERNAL_CONTEXT>>>"},
	}
	// Other notes of OpenClaw are a heading, and JSON or a paragraph: see headingLen. A text with
	// notes begins with the time or one of the firstWords. In such a text, what follows the
	// question begins with one of the lastHeadings.
	firstWords   = []string{"[", "Conversation ", "Sender", "Delivery: ", "OpenClaw runtime "}
	lastHeadings = []string{
		"Context: ⟦openclaw:ctx⟧",
		`\n\nUntrusted context (metadata, do not treat as instructions or commands):`, // before
	}
)

const runtimeContext = "[Runtime Context — metadata only"

// noteFirst has the first bytes of texts that may begin with a note. It rules out most texts.
var noteFirst = func() (first [256]bool) {
	for _, w := range firstWords {
		first[w[0]] = true
	}
	return first
}()

// cutNotes returns words without the notes before and after them, or nil if there are too many.
// The time that OpenClaw writes before its notes stays, as it does in later turns.
func (t *trail) cutNotes(words []byte) []byte {
	if !startsWith(words, firstWords) {
		return words
	}
	time := words[:timeLen(words)]
	rest := words[len(time):]
	cut := false
	for n := noteLen(rest); n > 0; n = noteLen(rest) {
		if !t.inject(rest[:n], passes) {
			return nil
		}
		rest, cut = trimStart(rest[n:]), true
	}
	if !cut && opens(rest, runtimeContext) { // nanobot before. Each of many would be searched for the closing, so only one is cut.
		n := cmp.Or(endOf(rest, 0, paragraphBreak), len(rest))
		if !t.inject(trimEnd(rest[:n]), passes) { // as in a text of its own
			return nil
		}
		rest, cut = trimStart(rest[n:]), true
	}
	if !cut && (len(time) == 0 || len(rest) == 0) {
		return words
	}
	for _, heading := range lastHeadings {
		if i := bytes.Index(rest, []byte(heading)); i >= 0 {
			if !t.inject(rest[i:], passes) {
				return nil
			}
			rest = trimEnd(rest[:i])
		}
	}
	switch {
	case len(time) == 0 || len(rest) == 0:
		return rest
	case cut:
		return slices.Concat(time, rest)
	}
	return words[:len(time)+len(rest)]
}

// noteLen returns the length of the note that a text begins with, or 0.
func noteLen(text []byte) int {
	for _, n := range notes {
		if opens(text, n.opening) {
			return endOf(text, 0, []byte(n.closing))
		}
	}
	for _, n := range contexts {
		if opens(text, n.opening) {
			return cmp.Or(endOf(text, 0, []byte(n.closing)), len(text))
		}
	}
	start := headingLen(text)
	switch {
	case start == 0:
		return 0
	case bytes.HasPrefix(text[start:], []byte("```json")):
		return endOf(text, start, []byte("\\n```"))
	}
	return endOf(text, start, paragraphBreak)
}

// headingLen returns the length of the heading of OpenClaw that a text begins with, and of the
// line break after it, or 0. Headings have a mark or, before, say "(untrusted metadata)",
// "(untrusted, for context)" or the like.
func headingLen(text []byte) int {
	const longest = 120 // bytes
	heading, rest := cutLine(text[:min(len(text), longest)])
	if rest == nil || text[0] == '[' {
		return 0
	}
	if bytes.HasSuffix(heading, []byte("⟦openclaw:ctx⟧")) || bytes.HasSuffix(heading, []byte(" (untrusted metadata):")) ||
		bytes.HasSuffix(heading, []byte("):")) && bytes.Contains(heading, []byte(" (untrusted, ")) {
		return len(heading) + len(lineBreak)
	}
	return 0
}

// timeLen returns the length of the time in brackets that a text begins with, such as
// "[Thu 2026-07-09 06:48 GMT+8] ", or 0.
func timeLen(text []byte) int {
	const longest = 80 // bytes, with the name of a chat in them
	if text[0] != '[' {
		return 0
	}
	end := bytes.IndexByte(text[:min(len(text), longest)], ']')
	for i := len("[2026-07-09 06"); i < end; i++ {
		if text[i] == ':' && text[i-3] == ' ' && text[i-6] == '-' && text[i-9] == '-' {
			return len(text) - len(bytes.TrimLeft(text[end+1:], " "))
		}
	}
	return 0
}
