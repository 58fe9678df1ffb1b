package extract

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// Many applications write the conversation so far into the system prompt, and send nothing
// but the current question beside it: Langflow's chatbot with a memory, Spring AI's advisor
// for prompts, and what guides of LangChain teach. So each turn has a different system prompt,
// and no answer among its messages:
//
//	You are a kind assistant.
//
//	History:
//	User: Where is Oslo?
//	AI: In Norway.
//
// The next such prompt has this question in its last line of a person. So a turn is looked
// for by its question and the one before that. There is none before the first question: that
// counts alone if it is longer than a greeting, and if there is a heading under which nobody
// had said anything when it was asked. (What somebody had said there may be an example.)
// What is found is no more than a place to start at, and only if the system prompt is the
// same up to the conversation or, since some have documents there, at least begins alike.
//
// Others write all of it, including the question, into one text of a person. If a turn does
// not begin with the one before (see transcript.go), it is looked for in the same way, under a
// system prompt that is the same but for times of day. In such a text, the current question
// is the last one with a label. If it has no label, the one before stands in for it, and
// each turn is known by what was asked up to the turn before. But what an application has
// looked up, such as questions that are asked often, looks the same, and many conversations
// have the same of it. So there must be a heading, or a last question that nobody answers.

// A talk has the digests of the last questions in a conversation: a later turn may find this one
// by here, and this one the turn before by before. Either is zero if there is nothing. Both count
// in each of the settings in, of which the best comes first.
type talk struct {
	here, before sum
	in           [2]sum
}

// history returns the talk in the only text of a person or, if that has none, in the system
// prompt. (The text comes first since a system prompt may have something that looks like a
// talk, such as what a tool takes.)
func (t *trail) history(in *settings) (h talk) {
	if t.answered {
		return
	}
	if t.mayBeTalk() {
		h = talkIn(withoutCue(t.last[max(0, len(t.last)-maxEnding):]), t.lastWords(), nil, true)
		for i, setting := range h.in {
			h.in[i] = in.system.join(historySalt, setting)
		}
	}
	if h.here == (sum{}) && h.before == (sum{}) {
		texts := t.systemAmong.texts
		if t.systemAmong.n == 0 {
			texts = t.system.texts
		}
		h = talkIn(t.ending, texts[0], bareLine(t.lastWords()), false)
	}
	return h
}

// talkIn returns the talk in a text, given how that ends and how it opens, and now, the current
// question. If inside is set, that is in the text itself.
func talkIn(ending, opening, now []byte, inside bool) (h talk) {
	asked, front, headed, open := conversationAt(ending)
	switch {
	case inside && !open && !headed && !headsInside(opening): // it may be questions that were looked up
		return
	case inside:
		now, asked = asked[0], [3][]byte{asked[1], asked[2]}
	case open && bytes.Equal(asked[0], now): // some have the current question in the prompt as well
		asked = [3][]byte{asked[1], asked[2]}
	}
	pair := func(last, before []byte) sum {
		const shortest = 16 // bytes of a first question
		switch {
		case before == nil && (!headed || len(last) < shortest),
			before != nil && (bytes.Equal(before, last) || len(before)+len(last) < minTail):
			return sum{}
		}
		return sum{}.add(textSalt, xxhash.Sum64(before)).add(textSalt, xxhash.Sum64(last))
	}
	here, before := pair(now, asked[0]), pair(asked[0], asked[1])
	if here == (sum{}) && before == (sum{}) {
		return
	}
	first, _ := cutLine(opening)
	return talk{here, before, [2]sum{
		sum{}.add(historySalt, withoutTimes(front, xxhash.Sum64(front))),
		sum{}.add(historySalt, xxhash.Sum64(first)),
	}}
}

// mayBeTalk reports whether the only text of a person has a line of a person in a conversation
// near either end.
func (t *trail) mayBeTalk() bool {
	return t.texts == 1 && (asks(t.lastWords()) || len(t.last) > maxKept && asks(t.lastEnd()))
}

// asks reports whether one of the lines of a text is that of a person in a conversation.
func asks(text []byte) bool {
	if !mayBeLabelled(text) {
		return false
	}
	for cut := lineCutter(text); len(text) > 0; {
		var line []byte
		if line, text = cut(text); askedIn(line) != nil {
			return true
		}
	}
	return false
}

// headsInside reports whether one of the lines of a text is the heading of a conversation.
func headsInside(text []byte) bool {
	_, _, headed, _ := conversationAt(text)
	return headed
}

// lineCutter returns a function that cuts a text after its first line: cutLine or, if messages are
// written as JSON, or as Python prints them, one for which each of them is a line.
func lineCutter(text []byte) func([]byte) (line, rest []byte) {
	if !bytes.Contains(text, []byte(`{\"role`)) && !bytes.Contains(text, []byte(`{'role`)) {
		return cutLine
	}
	return func(text []byte) (line, rest []byte) {
		for i := 0; i < len(text); i++ { // one loop for both, so that no byte is looked at twice
			switch {
			case text[i] == '{':
				return text[:i], text[i+1:]
			case bytes.HasPrefix(text[i:], lineBreak):
				return text[:i], text[i+len(lineBreak):]
			case text[i] == '\\':
				i++ // to what is escaped
			}
		}
		return text, nil
	}
}

// conversationAt returns the last questions of a person in a text, the last one first; the text
// before the conversation, which means nothing if there is none; whether the conversation has
// a heading; and whether it is open: nobody speaks after the last question.
func conversationAt(text []byte) (asked [3][]byte, front []byte, headed, open bool) {
	cut := lineCutter(text)
	for rest := text; len(rest) > 0; {
		at := len(text) - len(rest)
		var line []byte
		line, rest = cut(rest)
		words := askedIn(line)
		if line = trim(line); len(line) == 0 {
			continue
		}
		heads := !headed && words == nil && headsHistory(line)
		if !headed && asked[0] == nil {
			front = text[:at]
		}
		headed = headed || heads
		if open = words != nil || open && !bytes.ContainsAny(line[:min(len(line), farthest)], labelEnds); words != nil {
			asked = [3][]byte{words, asked[0], asked[1]}
		}
	}
	return asked, front, headed, open
}

// headsHistory reports whether a line is the heading of a conversation, such as
// "Previous conversation:", "## Memory" or "--- Chat history ---".
func headsHistory(line []byte) bool {
	first, last := line[0], line[len(line)-1]
	switch {
	case last == ':', first == '#', first == '<':
	case 'A' <= first && first < utf8.RuneSelf && first != '[' && last < utf8.RuneSelf: // most lines
		return false
	case bytes.HasSuffix(line, []byte("：")), bytes.HasPrefix(line, []byte("【")):
	case strings.IndexByte("-=*[", first) < 0 || strings.IndexByte("-=*]", last) < 0:
		return false
	}
	return historyWords.in(line)
}

var historyWords = stemsOf(
	"histor", "conversa", "memory", "transcript", "dialog", "verlauf", "gespräch", "unterhaltung",
	"历史", "歷史", "对话", "對話", "聊天记录", "履歴", "会話", "대화", "стори", "иалог",
)
