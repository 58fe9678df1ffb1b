package extract

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// This file knows the labels of people in a conversation that is one text, such as "User:", and
// of questions, such as "Question:".

// bareLine returns the first line of a text, such as follows a label, without quotes and the like
// around it. In JSON that is quoted, a line may end in more than one backslash and an n.
func bareLine(text []byte) []byte {
	line, _, _ := bytes.Cut(text, lineBreak)
	return bare(line)
}

// bare returns a line without quotes and the like around it.
func bare(line []byte) []byte { return bytes.Trim(trim(line), ` *\"'{},]`) }

// unquoted returns a line without the quotes around it. A quote at one end only is left, since a
// person may have written it, as in: What is a "fjord"
func unquoted(line []byte) []byte {
	line = trim(line)
	for _, quote := range [...]string{`\"\"\"`, `\"`, "'"} {
		rest, opened := bytes.CutPrefix(line, []byte(quote))
		if words, closed := bytes.CutSuffix(bytes.TrimRight(rest, " *{},]"), []byte(quote)); opened && closed {
			return trim(words)
		}
	}
	return line
}

// inBrackets returns what is in the brackets around a line, as in "[Question: Where is Oslo?]", or
// the line if there are none.
func inBrackets(line []byte) []byte {
	if len(line) == 0 || line[0] != '[' && line[0] != '{' {
		return line
	}
	line = trimEnd(line)
	depth := 0
	for i, c := range line {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		if depth == 0 {
			if i == len(line)-1 {
				return line[1:i]
			}
			break
		}
	}
	return line
}

// askedIn returns what a person says in a line of a conversation, or nil if it is not such a
// line:
//
//	User: hi
//	**Human:** hi
//	<user>hi</user>
//	<message role="user">hi</message>
//	{"role": "user", "content": "hi"}
//	[2026-11-29 9:05] User: hi
func askedIn(line []byte) []byte {
	words, _ := afterLabel(line)
	if words = bareLine(words); len(words) > 0 { // a line in JSON has line breaks of its own
		return words
	}
	return nil
}

// afterLabel returns what comes after the label of a person in a line, which may be
// nothing, and whether there is such a label.
func afterLabel(line []byte) (words []byte, label bool) {
	const longest = 16 // bytes between the name and the end of the label
	if len(line) > 1 && line[0] == '[' && '0' <= line[1] && line[1] <= '9' {
		_, line, _ = bytes.Cut(line, []byte("]")) // the time before the label
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
			continue // mostly because of the second letter
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
		return words, true
	}
	return nil, false
}

// labelEnds are the characters that a label may end in.
const labelEnds = ":>]：】"

// farthest is in how many bytes from the start of a line a role, or anybody's label, must be.
const farthest = 24

// mayBeLabelled reports whether a text has the first byte of any of the labelEnds. Many texts
// have none, so that their lines need not be looked at.
func mayBeLabelled(text []byte) bool {
	for _, c := range []byte{':', '>', ']', "："[0], "】"[0]} {
		if bytes.IndexByte(text, c) >= 0 {
			return true
		}
	}
	return false
}

// pastMarks returns a line without the marks that may come before a name.
func pastMarks(line []byte) []byte {
	for len(line) > 0 && (line[0] < '0' || line[0] == '<' || line[0] == '[' || line[0] == ':' || line[0] == '=' ||
		line[0] == '\\' && len(line) > 1 && line[1] == '"') {
		line = line[1:]
	}
	return bytes.TrimPrefix(line, []byte("【"))
}

// people are what a person, or a question, is called in labels, in lower case.
var people = stemsOf("user", "human", "customer", "question", "query",
	"nutzer", "benutzer", "kunde", "frage", "utilisateur", "usuario", "usuário", "pregunta", "pergunta",
	"用户", "用戶", "客户", "客戶", "问题", "問題", "提问", "ユーザ", "質問", "사용자", "고객", "질문",
	"пользователь", "клиент", "вопрос")

// below has the first and the last words that come after a label, on the line of that or the next
// one that is not blank.
type below struct {
	first, last []byte
	open        bool // a label was on a line of its own
}

// add adds a line that has a label, or not, and words after that.
func (b *below) add(line, words []byte, label bool) {
	if b.open && !label {
		words = trim(line)
	}
	b.open = (b.open || label) && len(words) == 0
	if len(words) > 0 {
		if b.last = words; b.first == nil {
			b.first = words
		}
	}
}

// labelled returns what comes after a label such as "Question:" in a line, and whether there is one.
func labelled(line []byte) (words []byte, label bool) {
	words, label = afterLabel(inBrackets(line))
	if len(words) > 0 { // in few lines
		words = unquoted(bytes.Trim(trim(words), " *"))
	}
	return words, label
}

// mayBeHeaded reports whether a text may have headings.
func mayBeHeaded(text []byte) bool {
	return bytes.IndexByte(text, '#') >= 0 || bytes.Contains(text, []byte("**"))
}

// heads reports whether a line is a heading in Markdown whose last word would be a label with a
// colon, such as "## Question" and "**User question**", but not "## User guide".
func heads(line []byte) bool {
	const longest = 32 // bytes
	if len(line) == 0 || line[0] > '*' {
		return false // most lines
	}
	if line = trim(line); len(line) > longest || !bytes.HasPrefix(line, []byte("#")) && !bytes.HasPrefix(line, []byte("**")) {
		return false
	}
	words := bytes.Trim(line, "#* ")
	last := words[bytes.LastIndexByte(words, ' ')+1:]
	rest, label := afterLabel(append(append(make([]byte, 0, longest+1), last...), ':'))
	return label && len(rest) == 0
}

// withoutLabel returns a line without a label at its start, such as "Question:", and without
// quotes around what follows that.
func withoutLabel(line []byte) []byte {
	const longest = 30 // bytes of a label
	i := bytes.IndexAny(line[:min(len(line), longest)], ":：")
	if i < 0 {
		return line
	}
	_, width := utf8.DecodeRune(line[i:])
	return unquoted(line[i+width:])
}
