package extract

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// Many applications write the conversation so far into the system prompt, and send nothing
// but the question at hand beside it: Langflow's chatbot with a memory, Spring AI's advisor
// for prompts, and what guides of LangChain teach. So each turn has another system prompt,
// and no answer among its messages:
//
//	You are a kind assistant.
//
//	History:
//	User: Where is Oslo?
//	AI: In Norway.
//
// The next such prompt has the question at hand in its last line of a person. So a turn
// is looked for by that question and the one in front of it. The first question has none
// in front: it counts alone if it is longer than a greeting, and if there is a heading
// under which nobody had said anything when it was asked. (What somebody had said there
// may be an example.) What is found is no more than a place to start at, and only where
// the system prompt is the same in front of the conversation or, since some have
// documents there, at least begins alike.
//
// Others write all of it, question and all, into one text of a person. If a turn does not
// begin with the one before (see transcript.go), it is looked for like that, too, under a
// system prompt that is the same but for times of day. There, the question at hand is the
// last one with a label. If it has none, the one before stands for it, and each turn is
// known by what was asked up to the turn before. But what an application has looked up,
// such as questions that others ask often, looks the same, and many have the same of it. So
// there must be a heading, or a last question that nobody answers.

// A talk is what the last questions in a conversation are known by: what a later turn may
// find this one by, and what this one may find the turn before by, zero sums if there is
// nothing, in settings of which the best comes first.
type talk struct {
	here, before sum
	in           [2]sum
}

// history returns the talk in the only text of a person or, if there is none, in the system
// prompt, which may have something like it in any case, such as what a tool takes.
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

// talkIn returns the talk in a text, given how that ends and how it opens, and the
// question at hand, unless that is inside.
func talkIn(ending, opening, now []byte, inside bool) (h talk) {
	asked, front, headed, open := conversationAt(ending)
	switch {
	case inside && !open && !headed && !headsInside(opening): // what others often ask, and was looked up
		return
	case inside:
		now, asked = asked[0], [3][]byte{asked[1], asked[2]}
	case open && bytes.Equal(asked[0], now): // some have it there, too
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
	first, _, _ := bytes.Cut(opening, lineBreak)
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

// lineCutter returns a function that parts a text after its first line. Where messages
// are written as JSON, or as Python does, each is a line of its own.
func lineCutter(text []byte) func([]byte) (line, rest []byte) {
	if !bytes.Contains(text, []byte(`{\"role`)) && !bytes.Contains(text, []byte(`{'role`)) {
		return func(text []byte) (line, rest []byte) {
			if i := jsonscan.LineBreak(text); i >= 0 {
				return text[:i], text[i+len(lineBreak):]
			}
			return text, nil
		}
	}
	return func(text []byte) (line, rest []byte) {
		for i, c := range text { // no look at the same bytes for the one and then for the other
			switch {
			case c == '{':
				return text[:i], text[i+1:]
			case c == '\\' && bytes.HasPrefix(text[i:], lineBreak):
				return text[:i], text[i+len(lineBreak):]
			}
		}
		return text, nil
	}
}

// conversationAt returns the last questions of a person in a text, the last one first;
// what stands before the conversation, or anything if there is none; and whether that has a
// heading, and nobody speaks after the last question.
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

// bareLine returns the first line of a text, as it may come after a label.
func bareLine(text []byte) []byte {
	line, _, _ := bytes.Cut(text, lineBreak)
	return bytes.Trim(trim(line), ` *\"'{},]`)
}

// askedIn returns what a person says in a line of a conversation, nil if nobody says
// anything. Most lines are told by their first letter:
//
//	User: hi
//	**Human:** hi
//	<user>hi</user>
//	<message role="user">hi</message>
//	{"role": "user", "content": "hi"}
//	[2026-11-29 9:05] User: hi
func askedIn(line []byte) []byte {
	if words, _ := afterLabel(line); len(words) > 0 {
		return words
	}
	return nil
}

// afterLabel returns what comes after the label of a person in a line, which may be
// nothing, and whether there is such a label.
func afterLabel(line []byte) (words []byte, label bool) {
	const longest = 16 // bytes after the name
	if len(line) > 1 && line[0] == '[' && '0' <= line[1] && line[1] <= '9' {
		_, line, _ = bytes.Cut(line, []byte("]")) // after when it was said
	}
	marked := len(line) > 0 && line[0] < 'A' || len(line) > 1 && line[0] == '\\'
	if line = pastMarks(line); marked {
		if i := bytes.Index(line[:min(len(line), farthest)], []byte("role")); i >= 0 {
			line = pastMarks(line[i+len("role"):])
		}
	}
	if len(line) == 0 {
		return nil, false
	}
	for _, name := range people[line[0]|('a'-'A')] {
		n := len(name)
		if len(line) < n || line[1]|('a'-'A') != name[1]|('a'-'A') || !strings.EqualFold(string(line[:n]), name) {
			continue // mostly for its second letter
		}
		rest := line[n:]
		i := bytes.IndexAny(rest[:min(len(rest), longest)], labelEnds)
		if i < 0 {
			continue
		}
		end, width := utf8.DecodeRune(rest[i:])
		if words = rest[i+width:]; end == '>' {
			if i := bytes.LastIndex(words, []byte("</")); i >= 0 {
				words = words[:i]
			}
		}
		return bareLine(words), true
	}
	return nil, false
}

// labelEnds are what a label ends in.
const labelEnds = ":>]：】"

// farthest is how many bytes of a line may have a role, or anybody's label.
const farthest = 24

// mayBeLabelled reports whether a text has the first byte of any of the labelEnds. Many
// have none, and need no look at each line.
func mayBeLabelled(text []byte) bool {
	for _, c := range []byte{':', '>', ']', "："[0], "】"[0]} {
		if bytes.IndexByte(text, c) >= 0 {
			return true
		}
	}
	return false
}

// pastMarks returns a line without what may stand in front of a name.
func pastMarks(line []byte) []byte {
	for len(line) > 0 && (line[0] < '0' || line[0] == '<' || line[0] == '[' || line[0] == ':' || line[0] == '=' ||
		line[0] == '\\' && len(line) > 1 && line[1] == '"') {
		line = line[1:]
	}
	return bytes.TrimPrefix(line, []byte("【"))
}

// people are what a person, or a question, is called in such lines, in lower case.
var people = stemsOf("user", "human", "customer", "question", "query",
	"nutzer", "benutzer", "kunde", "frage", "utilisateur", "usuario", "usuário", "pregunta", "pergunta",
	"用户", "用戶", "客户", "客戶", "问题", "問題", "提问", "ユーザ", "質問", "사용자", "고객", "질문",
	"пользователь", "клиент", "вопрос")

// headsHistory reports whether a line is the heading of a conversation, such as
// "Previous conversation:", "## Memory" or "--- Chat history ---".
func headsHistory(line []byte) bool {
	first, last := line[0], line[len(line)-1]
	switch {
	case last == ':', first == '#', first == '<':
	case 'A' <= first && first < utf8.RuneSelf && first != '[' && last < utf8.RuneSelf: // as most lines
		return false
	case bytes.HasSuffix(line, []byte("：")), bytes.HasPrefix(line, []byte("【")):
	case strings.IndexByte("-=*[", first) < 0 || strings.IndexByte("-=*]", last) < 0:
		return false
	}
	return historyWords.in(line)
}

var historyWords = fragmentsOf(
	"histor", "conversa", "memory", "transcript", "dialog", "verlauf", "gespräch", "unterhaltung",
	"历史", "歷史", "对话", "對話", "聊天记录", "履歴", "会話", "대화", "стори", "иалог",
)
