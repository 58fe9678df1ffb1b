package extract

import (
	"bytes"
	"slices"
)

// What stands in the message of a person is not all that person's words, and what stands in
// a system prompt is not all the same from turn to turn. This file knows what clients put
// there, and takes it off the two ends of a plain text, where clients put it:
//
//   - cutBilling takes the billing line off a system prompt;
//   - cutRepeated (repeated.go) takes off the words of a person what repeats the end of the
//     system prompt;
//   - split takes what was injected off them, too: first what a client writes around the
//     question at hand, then elements in front, one after the other, then elements
//     behind.
//
// What is taken off a person's words is part of the setting if it stands before the first
// answer, and counts for nothing behind that, except for the place that Goose names. So it
// should be what comes and goes from turn to turn, and never what tells two conversations
// apart. To add the element of another client, which the client must always close, add its
// name to injectedTags, among those that stay as long; or, if it is in a message of its own
// and anybody may use the name, to contextTags.

// injectedTags are the elements in which clients wrap what they put into a
// person's message, as they open and close them.
var injectedTags = slices.Concat(tags(stays,
	"system-reminder",     // Claude Code, Qwen Code
	"system_reminder",     // Crush
	"environment_context", // Codex
	"user_instructions",   // Codex before
	"session_context",     // Gemini CLI
	"environment_details", // Cline, Roo Code
	"environment_info",    // Copilot Chat
	"workspace_info",      // Copilot Chat
	"SYSTEM_MESSAGE",      // Void, where the model takes no system prompt
), tags(passes,
	"editorContext",        // Copilot Chat
	"reminderInstructions", // Copilot Chat
	"memory-context",       // Hermes
), tags(moves,
	"info-msg", // Goose
), []tag{{ // LobeChat, some of it in the last message only
	[]byte("<!-- SYSTEM CONTEXT (NOT PART OF USER QUERY) -->"),
	[]byte("<!-- END SYSTEM CONTEXT -->"),
	stays,
}, { // Codex
	[]byte("# AGENTS.md instructions"),
	[]byte("</INSTRUCTIONS>"),
	stays,
}})

// contextTags are elements of which clients make whole messages, in front of all others, to
// say how things are now. Anybody may use such names, so a text that has words beside such
// elements is all words: otherwise what an application remembers of each user would count
// for nothing.
var contextTags = append(tags(passes,
	"project_context", "selected_files", "recently_viewed_files", "diagnostic_field_description", "diagnostics", "memory", // Avante
), tag{ // Avante
	[]byte("<selected_code path="),
	[]byte("</selected_code>"),
	passes,
}, tag{ // Rig, what it has looked up
	[]byte("<file id: "),
	[]byte(`\n</file>`),
	passes,
})

// injectedBeginnings are how messages begin that clients put in front of the question at
// hand; at the next question they stand somewhere else, or are gone. In some, Aider shows
// files as they are by then, or says that it shows none, and so does Dyad; in others,
// Microsoft's Agent Framework shows what it remembers or has found.
var injectedBeginnings = [][]byte{
	[]byte("I have *added these files to the chat*"),
	[]byte("I am not sharing any files that you can edit yet."),
	[]byte("I am not sharing the full contents of any files with you yet."),
	[]byte(`I am working with you on code in a git repository.\nHere are summaries of some files`),
	[]byte("Here are summaries of some files present in my git repo"),
	[]byte("Here are some READ ONLY files, provided for your reference."),
	[]byte("Don't try and edit any existing code without asking me to add the files to the chat!"),
	[]byte("These files have been *added these files to the chat*"),

	[]byte("This is my codebase. <dyad-file path="),

	[]byte(`## Memories\nConsider the following memories when answering user questions:`),
	[]byte(`## Relevant Memories\nConsider these memories when responding:`),
	[]byte(`## Memory\nUse MEMORY.md and the loaded topic files when they are relevant.`),
	[]byte(`## Additional Context\nConsider the following information from source documents when responding to the user:`),
}

// A stay says how long what a client injected stays where it is.
type stay uint8

const (
	passes stay = iota // with the last message only
	stays              // as long as the message that it is in
	moves              // with the last message or so only, but the next one has the like
)

// places returns how many of the paths in such a text say where the conversation takes
// place: of one that passes, none, since they are files such as the one that is open now;
// of one that moves, the first, which is the working directory.
func (s stay) places() int32 {
	switch s {
	case stays:
		return maxPlaces
	case moves:
		return 1
	}
	return 0
}

type tag struct {
	open, close []byte
	stay        stay
}

func tags(s stay, names ...string) (tags []tag) {
	for _, name := range names {
		tags = append(tags, tag{[]byte("<" + name + ">"), []byte("</" + name + ">"), s})
	}
	return tags
}

// injectedWhole reports whether a text is nothing but what a client injected: it begins with one
// of the injectedBeginnings, or has contextTags from end to end.
func injectedWhole(words []byte) bool {
	if len(words) == 0 {
		return false
	}
	switch words[0] {
	case '<':
		return onlyContext(words)
	case 'I', 'H', 'D', 'T', '#': // with which all of them begin
		return slices.ContainsFunc(injectedBeginnings, func(o []byte) bool { return bytes.HasPrefix(words, o) })
	}
	return false
}

// onlyContext reports whether a text is nothing but elements of contextTags.
func onlyContext(words []byte) bool {
	for len(words) > 0 {
		i := slices.IndexFunc(contextTags, func(t tag) bool { return bytes.HasPrefix(words, t.open) })
		if i < 0 {
			return false
		}
		_, rest, closed := bytes.Cut(words, contextTags[i].close)
		if !closed {
			return false
		}
		words = trimStart(rest)
	}
	return true
}

// An injector is called with what a client injected. Once it returns false, no more is
// wanted.
type injector func(text []byte, s stay) (more bool)

// split returns what a person wrote of a plain text, and hands what a client injected before
// and behind it to inject. The white space around both belongs to neither. Once inject returns
// false, it gives up.
func split(text []byte, inject injector) (words []byte) {
	words = trim(text)
	if injectedWhole(words) {
		inject(words, passes)
		return nil
	}
	words = cutRuntime(words, inject)
	words = cutExtras(words, inject)
	words = cutReferences(words, inject)
	words = cutContext(words, inject)
	words = cutFields(words, inject)
	words = cutNotes(words, inject)
	if bytes.IndexByte(words, '<') < 0 { // as in most
		return words
	}
	if n := lookedUp(words); n > 0 {
		inject(words[:n], passes)
		words = trimStart(words[n:])
		if query, ok := bytes.CutPrefix(words, []byte("<user_query>")); ok { // Open WebUI
			words = trim(bytes.TrimSuffix(query, []byte("</user_query>")))
		}
	}
	return cutTags(words, inject)
}

// cutTags returns words without the elements of injectedTags in front of them and behind,
// or nil once inject returns false.
func cutTags(words []byte, inject injector) []byte {
	for len(words) > 0 && (words[0] == '<' || words[0] == '#') {
		i := slices.IndexFunc(injectedTags, func(t tag) bool { return bytes.HasPrefix(words, t.open) })
		if i < 0 {
			break
		}
		end := bytes.Index(words, injectedTags[i].close)
		if end < 0 {
			break // clients close what they open: somebody writes about the tag
		}
		end += len(injectedTags[i].close)
		if !inject(words[:end], injectedTags[i].stay) {
			return nil
		}
		words = trimStart(words[end:])
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
		if !inject(words[start:], injectedTags[i].stay) {
			return nil
		}
		words = trimEnd(words[:start])
	}
	return words
}

// cutRuntime returns words without what nanobot and its descendants say of the time and the
// chat, in front of them or behind, with the last message only. In front, it ends with an empty
// line where nothing closes it.
func cutRuntime(words []byte, inject injector) []byte {
	opening, closing := []byte("[Runtime Context — metadata only"), []byte("[/Runtime Context]")
	if bytes.HasPrefix(words, opening) {
		end := bytes.Index(words, closing)
		if end >= 0 {
			end += len(closing)
		} else if end = bytes.Index(words, paragraphBreak); end < 0 {
			end = len(words)
		}
		inject(words[:end], passes)
		return trimStart(words[end:])
	}
	if bytes.HasSuffix(words, closing) {
		if start := bytes.LastIndex(words, opening); start >= 0 {
			inject(words[start:], passes)
			return trimEnd(words[:start])
		}
	}
	return words
}

// cutExtras returns words without what Agent Zero says of the time and the like, as JSON, behind
// the last message only.
func cutExtras(words []byte, inject injector) []byte {
	if !bytes.HasSuffix(words, []byte("}")) { // as most
		return words
	}
	const line = len(`\n`)
	opening := []byte(`[EXTRAS]\n{`)
	if !bytes.Contains(words, opening) { // as most: LastIndex takes many times as long
		return words
	}
	switch i := bytes.LastIndex(words, opening); { // the JSON has it nowhere: there, a line break is an escape
	case i == 0:
		inject(words, passes)
		return nil
	case i >= line && string(words[i-line:i]) == `\n`:
		inject(words[i:], passes)
		return trimEnd(words[:i])
	}
	return words
}

// cutReferences returns the question out of what Cherry Studio makes of the last one: the
// question stands in the midst of what it has looked up for it.
func cutReferences(words []byte, inject injector) []byte {
	if !bytes.HasPrefix(words, []byte("Please answer the question based on the reference materials")) {
		return words
	}
	before, rest, _ := bytes.Cut(words, []byte(`## My question is:\n\n`))
	question, behind, ok := bytes.Cut(rest, []byte(`\n\n## Reference Materials:\n\n`))
	if !ok || len(trim(question)) == 0 {
		return words
	}
	inject(before, passes)
	inject(behind, passes)
	return trim(question)
}

// cutNotes returns the question out of what Obsidian Copilot makes of the last one, which stands
// behind notes, or what it has found in them.
func cutNotes(words []byte, inject injector) []byte {
	const longest = 4 << 10 // of a question
	if len(words) == 0 || words[0] != '<' && !bytes.HasPrefix(words, []byte("Context attached to this message:")) &&
		!bytes.HasPrefix(words, []byte("Answer the question based only on the following context:")) {
		return words
	}
	label := []byte(`\n\n[User query]:\n`)
	far := max(0, len(words)-longest)
	i := bytes.Index(words[far:], label)
	if i < 0 {
		return words
	}
	question := trim(words[far+i+len(label):])
	if len(question) == 0 {
		return words
	}
	inject(words[:far+i], passes)
	return question
}

// cutContext returns the question out of what Spring AI makes of the last one: it puts what it has
// looked up behind the question or, with another advisor, in front of it.
func cutContext(words []byte, inject injector) []byte {
	const longest = 4 << 10 // of a question that is answered so
	// A capital letter to look for is soon found to be missing, as in most; line breaks are everywhere.
	if i := bytes.Index(words[:min(len(words), longest)], []byte("Context information is below, surrounded by ----")); i >= 0 {
		question, ok := bytes.CutSuffix(words[:i], paragraphBreak)
		if question = trimEnd(question); ok && len(question) > 0 {
			inject(words[i:], passes)
			return question
		}
		return words
	}
	rest, ok := bytes.CutSuffix(words, []byte("Answer:"))
	if !ok || !bytes.HasPrefix(words, []byte(`Context information is below.\n`)) {
		return words
	}
	opening := []byte(`\nQuery: `)
	i := bytes.LastIndex(rest, opening)
	if i < 0 || len(trim(rest[i+len(opening):])) == 0 {
		return words
	}
	inject(words[:i], passes)
	return trim(rest[i+len(opening):])
}

// cutFields returns words without what DSPy says of the form of an answer, behind the last question
// only.
func cutFields(words []byte, inject injector) []byte {
	rest, ok := bytes.CutSuffix(words, []byte("and then ending with the marker for `[[ ## completed ## ]]`."))
	if !ok {
		return words
	}
	i := bytes.LastIndex(rest, []byte(`\n\nRespond with the corresponding output fields, starting with the field `))
	if i < 0 {
		return words
	}
	inject(words[i:], passes)
	return trimEnd(words[:i])
}

// lookedUp returns the length of what a client has looked up for a question and put in front
// of it, in the last message only; 0 if there is nothing of the kind, or no question behind
// it. It knows two clients. Many applications do the same in a form of their own, and keep it
// in the message: that counts as a person's words.
func lookedUp(words []byte) int {
	end := []byte("</context>")
	n := 0
	switch {
	case bytes.HasPrefix(words, []byte(`### Task:\nRespond to the user query using the provided context`)): // Open WebUI
		n = bytes.LastIndex(words, end) // what was looked up may have such elements itself
	case bytes.HasPrefix(words, []byte("<context>")) && bytes.Contains(words, []byte("<reminderInstructions>")): // Copilot Chat
		n = bytes.Index(words, end)
	}
	if n <= 0 || len(trimStart(words[n+len(end):])) == 0 {
		return 0
	}
	return n + len(end)
}

// cutBilling parts a text of a system prompt into the line with which Claude Code opens it,
// nil if it has none, and the rest, without white space around that. The line holds the
// client's version and, in some versions, a hash of the request, so it changes with every
// turn. Proxies that translate put it on top of whatever they make of the system prompt. The
// text need not be plain.
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
	return rest[:end], trimStart(rest[end:])
}
