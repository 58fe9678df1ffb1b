package extract

import (
	"bytes"
	"slices"
)

// Not everything in the message of a person is that person's words. This file knows what clients
// add, and removes it from the two ends of a plain text, where clients put it: first what a client
// writes around the current question (and a bot before it: bots.go), then elements before the
// words, one by one, then elements after them (split). What repeats the end of the system prompt
// has been removed before (repeated.go).
//
// What was injected is part of the setting if it comes before the first answer, and counts for
// nothing after that, with two exceptions (see inject). So it should be what comes and goes from
// turn to turn, and never what tells two conversations apart.
//
// To add an element that another client injects, and always closes, add its name to
// injectedTags, by how long it stays where it is (see stay); or to contextTags, if it is in a
// message of its own and anybody may use the name. What a client writes around a question is a
// row of wrappings.

// injectedTags are the elements in which clients wrap what they put into a person's message. Before
// the words, cutTags looks only for those that begin with '<' or '#', and after them for those that
// end with '>' or ']'.
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
	"memory-context", // Hermes
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
}, { // OpenClaw
	[]byte("<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>"),
	[]byte("<<<END_OPENCLAW_INTERNAL_CONTEXT>>>"),
	passes,
}, { // nanobot, behind the words
	[]byte(runtimeContext),
	[]byte("[/Runtime Context]"),
	passes,
}})

// sideQuestion is how Claude Code begins what somebody asks with /btw while the agent works: with a
// reminder that says how to answer, in one text with the question. It is the only sign of that, so
// it must not be left out (see personBeginnings).
var sideQuestion = []byte("<system-reminder>This is a side question from the user.")

// contextTags are elements of which clients make whole messages, before all others, to say how
// things are now. Anybody may use such names, so if a text has words beside such elements, all
// of it is words: otherwise what an application remembers of each user would count for nothing.
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

// injectedBeginnings are the beginnings of messages that clients put before the current question;
// at the next question these are somewhere else, or gone. In some, Aider shows files as they are
// at present, or says that it shows none, and so do Dyad and Cody (whose first message is its
// system prompt); in others, Microsoft's Agent Framework shows what it remembers or has found, and
// AstrBot what it has looked up. What is selected in Cody counts as words, since "Explain this" is
// about that.
var injectedBeginnings = []string{
	"I have *added these files to the chat*",
	"I am not sharing any files that you can edit yet.",
	"I am not sharing the full contents of any files with you yet.",
	`I am working with you on code in a git repository.\nHere are summaries of some files`,
	"Here are summaries of some files present in my git repo",
	"Here are some READ ONLY files, provided for your reference.",
	"Don't try and edit any existing code without asking me to add the files to the chat!",
	"These files have been *added these files to the chat*",

	"This is my codebase. <dyad-file path=",

	"You are Cody, an AI coding assistant from Sourcegraph.If your answer",
	"Codebase context from file ",

	`[Related Knowledge Base Results]:\n`,

	`## Memories\nConsider the following memories when answering user questions:`,
	`## Relevant Memories\nConsider these memories when responding:`,
	`## Memory\nUse MEMORY.md and the loaded topic files when they are relevant.`,
	`## Additional Context\nConsider the following information from source documents when responding to the user:`,
}

// A wrapping is what a client writes around the current question, in one text with it, and leaves
// out of the next turn: it is mostly what it has looked up. Many applications do the same in a
// form of their own, but keep it in the message: that counts as a person's words.
//
// The text begins with front and ends with end. The question begins after label: after its last
// occurrence or, if there is an after, its first. The question ends where after begins: its last
// occurrence if there is an end, and otherwise its first. Any of these may be empty, but not both
// front and end, nor both label and after. If there is a label, but no question after it, the
// wrapping does not fit. Without a label, a text without a question is all the client's: it
// begins like after, but for white space.
type wrapping struct{ front, label, after, end string }

var wrappings = []wrapping{
	{"Please answer the question based on the reference materials", `## My question is:\n\n`, `\n\n## Reference Materials:\n\n`, ""}, // Cherry Studio
	{"The following are relevant context entries retrieved from the knowledge base.", "<user_message>", "", "</user_message>"},       // LangBot
	{`# Context #\nPlease read carefully`, `\n\n# Objective #\n`, "", ""},                                                            // 5ire
	{"【指令】根据已知信息", `\n\n【问题】`, "", ""},                                                                                               // Langchain-Chatchat
	{`Context information is below.\n`, `\nQuery: `, "", "Answer:"},                                                                  // Spring AI, see also cutContext
	{"", "", `\n\nRespond with the corresponding output fields, starting with the field `, // DSPy, of the form of an answer
		"and then ending with the marker for `[[ ## completed ## ]]`."},
	{"[[ ## ", "", `\n\nRespond with a JSON object in the following order of fields: `, "."},
	{"", "", `\n[EXTRAS]\n{`, "}"}, // Agent Zero: the time and the like, as JSON, in which a line break is an escape
	{"<", queryLabel, "", ""},      // Obsidian Copilot: notes, or what it has found in them
	{"Context attached to this message:", queryLabel, "", ""},
	{"Answer the question based only on the following context:", queryLabel, "", ""},
	{"<context>", "</reminderInstructions>", "", ""},                            // Copilot Chat
	{"<context>", "<instruction>", "", "</instruction>"},                        // Onlook: files
	{"<truncated-context>", "<instruction>", "", "</instruction>"},              // and what it leaves of them in earlier messages
	{"", "", runsCode, "to achieve the highest-quality analysis for the user."}, // Open WebUI: how to run code
	{"", "", runsCode, "`import os; os.listdir('/mnt/uploads')` to discover available files."},
	{webUIFront, "<user_query>", "", "</user_query>"}, // and, around that, what it has looked up
	{webUIFront, "</context>", "", ""},                // what was looked up may have such elements itself
}

const (
	queryLabel = `\n\n[User query]:\n`
	runsCode   = `\n\n#### `
	webUIFront = `### Task:\nRespond to the user query using the provided context`
)

// likelyFirst has the first bytes of texts that are injected whole or have a wrapping, and
// likelyLast the last bytes of those whose first byte may be any. They rule out most texts.
var likelyFirst, likelyLast = func() (first, last [256]bool) {
	first['<'] = true // contextTags
	for _, o := range injectedBeginnings {
		first[o[0]] = true
	}
	for _, w := range wrappings {
		if len(w.front) > 0 {
			first[w.front[0]] = true
		} else {
			last[w.end[len(w.end)-1]] = true
		}
	}
	return first, last
}()

// A stay says how long an injected text stays where it is.
type stay uint8

const (
	passes stay = iota // with the last message only
	stays              // as long as the message that it is in
	moves              // with about the last message only, but the next one has something similar
)

// places returns how many of the paths in an injected text say where the conversation takes
// place. In one that passes none does: they are files, such as the one that is open now. In
// one that moves the first does: it is the working directory.
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

// opened returns the tag with which a text opens, and closed the one with which it closes, or
// nil. Mostly one byte is enough to rule a tag out, without a call.
func opened(tags []tag, words []byte) *tag {
	for i := range tags {
		if t := &tags[i]; len(words) > 1 && words[1] == t.open[1] && bytes.HasPrefix(words, t.open) {
			return t
		}
	}
	return nil
}

func closed(tags []tag, words []byte) *tag {
	n := len(words)
	for i := range tags {
		if t := &tags[i]; n > 1 && words[n-2] == t.close[len(t.close)-2] && bytes.HasSuffix(words, t.close) {
			return t
		}
	}
	return nil
}

// injectedWhole reports whether a text is nothing but what a client injected: it begins with one
// of the injectedBeginnings, or has contextTags from end to end.
func injectedWhole(words []byte) bool {
	if words[0] == '<' {
		return onlyContext(words)
	}
	return startsWith(words, injectedBeginnings)
}

// setsUp reports whether a text is the message in which Qwen Code, and Gemini CLI before it had an
// element for that, say before all others where and when the conversation takes place: "This is the
// Gemini CLI. We are setting up the context for our chat." Both write it anew when somebody resumes
// a conversation.
func setsUp(words []byte) bool {
	const longest = 128 // line of that kind
	if !opens(words, "This is the ") {
		return false
	}
	line, _ := cutLine(words[:min(len(words), longest)])
	return bytes.HasSuffix(line, []byte(". We are setting up the context for our chat."))
}

// onlyContext reports whether a text is nothing but elements of contextTags.
func onlyContext(words []byte) bool {
	for len(words) > 0 {
		t := opened(contextTags, words)
		if t == nil {
			return false
		}
		_, rest, ok := bytes.Cut(words, t.close)
		if !ok {
			return false
		}
		words = trimStart(rest)
	}
	return true
}

// split returns what a person wrote in a plain text, and adds to the trail what a client injected
// before and after it. White space around either belongs to neither. A text that begins with
// '<' takes as long as three others, and one that begins with '[' up to two, so they count as so many
// items. If there are too many items, split returns nil.
func (t *trail) split(text []byte) (words []byte) {
	words = trim(text)
	if len(words) == 0 {
		return nil
	}
	switch words[0] {
	case '<':
		t.more()
		fallthrough
	case '[':
		if !t.more() {
			return nil
		}
	}
	likely := likelyFirst[words[0]] || likelyLast[words[len(words)-1]]
	switch {
	case likely && injectedWhole(words):
		t.inject(words, passes)
		return nil
	case setsUp(words):
		t.inject(words, stays)
		return nil
	}
	if noteFirst[words[0]] {
		words = t.cutNotes(words)
	}
	words = t.cutContext(words)
	if likely {
		words = t.cutWrapping(words)
	}
	return t.cutTags(words)
}

// cutTags returns words without the elements of injectedTags before and after them, or nil if
// there are too many.
func (t *trail) cutTags(words []byte) []byte {
	for len(words) > 0 && (words[0] == '<' || words[0] == '#') {
		tag := opened(injectedTags, words)
		if tag == nil || bytes.HasPrefix(words, sideQuestion) {
			break
		}
		end := bytes.Index(words, tag.close)
		if end < 0 {
			break // clients close what they open, so somebody writes about the tag
		}
		end += len(tag.close)
		if !t.inject(words[:end], tag.stay) {
			return nil
		}
		words = trimStart(words[end:])
	}
	for len(words) > 0 && (words[len(words)-1] == '>' || words[len(words)-1] == ']') {
		tag := closed(injectedTags, words)
		if tag == nil {
			break
		}
		start := bytes.LastIndex(words, tag.open)
		if start < 0 {
			break
		}
		if !t.inject(words[start:], tag.stay) {
			return nil
		}
		words = trimEnd(words[:start])
	}
	return words
}

// cutContext returns the question in the text that Spring AI makes of the last one: it adds
// what it has looked up after the question.
func (t *trail) cutContext(words []byte) []byte {
	const longest = 4 << 10 // of a question that is answered so
	// Look for the capital letter first, which most texts do not have, not for line breaks,
	// which are everywhere.
	i := bytes.Index(words[:min(len(words), longest)], []byte("Context information is below, surrounded by ----"))
	if i < 0 {
		return words
	}
	question, ok := bytes.CutSuffix(words[:i], paragraphBreak)
	if question = trimEnd(question); !ok {
		return words
	}
	t.inject(words[i:], passes)
	return question
}

// cutWrapping returns the question in the wrappings that fit: in the first one, in the next one
// within that and so on.
func (t *trail) cutWrapping(words []byte) []byte {
	for i := range wrappings {
		f := &wrappings[i]
		if len(words) < len(f.front)+len(f.end) || len(f.front) > 0 && !opens(words, f.front) || !bytes.HasSuffix(words, []byte(f.end)) {
			continue
		}
		from := 0
		if f.front == "<" { // many texts begin so: look for the question only near the end
			from = max(0, len(words)-4<<10)
		}
		before, question, ok := cutAt(words[from:len(words)-len(f.end)], []byte(f.label), len(f.after) == 0)
		before = words[:from+len(before)]
		var after []byte
		if len(f.after) > 0 {
			question, after, ok = cutAt(question, []byte(f.after), len(f.end) > 0)
			if opening := trimStart([]byte(f.after)); !ok && len(f.label) == 0 && bytes.HasPrefix(words, opening) {
				question, after, ok = nil, words[len(opening):], true
			}
		}
		if question = trim(question); !ok || len(question) == 0 && len(f.label) > 0 {
			continue
		}
		for _, text := range [...][]byte{before, after} {
			if len(text) > 0 {
				t.inject(text, passes)
			}
		}
		words = question
	}
	return words
}

// cutAt is bytes.Cut or, if last is set, cuts at the last place.
func cutAt(text, sep []byte, last bool) (before, after []byte, found bool) {
	if !last {
		return bytes.Cut(text, sep)
	}
	if i := lastIndex(text, sep); i >= 0 {
		return text[:i], text[i+len(sep):], true
	}
	return text, nil, false
}
