package extract_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// A paper is a template that puts the whole conversation into one message, and what is said, by turns.
type paper struct{ name, before, after, person, model string }

var papers = []paper{
	{"LangChain's ConversationChain", "The following is a friendly conversation between a human and an AI.\n\nCurrent conversation:\n", "\nAI:", "\nHuman: ", "\nAI: "},
	{"Semantic Kernel's chat", "ChatBot can have a conversation with you about any topic.\n\n", "\nChatBot:", "\nUser: ", "\nChatBot: "},
	{"an agent that thinks on paper", "Use the following format:\n\nThought: you should always think\nAction: what to do\n\nBegin!\n\nQuestion:", "\nThought:", "\nObservation: ", "\nThought: "},
	{"instructions", "Below is an instruction.", "\n\n### Response:", "\n\n### Instruction:\n", "\n\n### Response:\n"},
	{"brackets", "Answer.", "\n[bot]", "\n[user] ", "\n[bot] "},
	{"a wide colon", "历史对话：", "\n助手：", "\n用户：", "\n助手："},
	{"tags", "Answer.\r\n", "\r\n<bot>", "\r\n<user>", "\r\n<bot>"},
}

// prompt returns the text for the turns so far. Where nothing has been said yet, some frameworks
// leave a line empty.
func (t paper) prompt(said ...string) string {
	var b strings.Builder
	b.WriteString(t.before)
	for i, s := range said {
		b.WriteString([]string{t.person, t.model}[i%2] + s)
	}
	return b.String() + t.after
}

func TestTranscriptsInOneMessage(t *testing.T) {
	t.Parallel()
	body := func(system, prompt string) string { return chat(sys(system), u(prompt)) }
	for _, f := range papers {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			trail := func(said ...string) extract.Session { return trailOf(t, body("Be kind.", f.prompt(said...))) }
			said := []string{"Where is Oslo?"}
			last := trail(said...)
			empty := f
			empty.before += "\n" // as there is nothing yet
			require.Equal(t, same, relation(trailOf(t, body("Be kind.", empty.prompt(said...))), last))
			for i := range 20 {
				said = append(said, fmt.Sprintf("Answer %d:\nof\n\ntwo lines.", i), fmt.Sprintf("Question %d?\n\nAnd more.", i))
				next := trail(said...)
				require.Equal(t, continues, relation(next, last), i)
				require.Equal(t, same, relation(trail(said...), next))

				// Another conversation, by its first words or by any later ones.
				other := append([]string{"Where is Rome?"}, said[1:]...)
				require.Equal(t, apart, relation(trail(other...), last))
				require.Equal(t, apart, relation(next, trail(other[:len(other)-2]...)))
				other = append([]string{}, said...)
				other[len(other)-3] += " Or so."
				require.Equal(t, apart, relation(trail(other...), last))
				require.NotEqual(t, same, relation(trail(other...), next))
				// The same words in another application.
				require.Equal(t, near, relation(trailOf(t, body("Be rude.", f.prompt(said...))), last))
				last = next
			}
		})
	}
}

// Others end in the question at hand, behind a label of its own.
func TestTranscriptsThatEndInAQuestion(t *testing.T) {
	t.Parallel()
	prompt := func(said ...string) string {
		var b strings.Builder
		b.WriteString("Answer the user's question.\n\nHistory:\n")
		last := len(said) - 1
		for i, s := range said[:last] {
			b.WriteString([]string{"User: ", "AI: "}[i%2] + s + "\n")
		}
		return b.String() + "\n**User question:** " + said[last]
	}
	trail := func(said ...string) extract.Session { return trailOf(t, chat(u(prompt(said...)))) }
	said := []string{"hi"}
	for i := range 20 {
		next := append(said[:len(said):len(said)], fmt.Sprintf("Answer %d:\n\n- one", i), fmt.Sprintf("Question %d?", i))
		require.Equal(t, continues, relation(trail(next...), trail(said...)), i)
		require.Equal(t, apart, relation(trail(said...), trail(next...)))
		other := append([]string{"hello"}, next[1:]...)
		require.Equal(t, apart, relation(trail(other...), trail(said...)))
		other = append([]string{}, next...)
		other[len(other)-2] += " Or so."
		require.NotEqual(t, same, relation(trail(other...), trail(next...)), "another answer")
		said = next
	}
	first := trail("hi")
	require.Equal(t, continues, relation(trailOf(t, chat(u(prompt("hi")), a("x"), u("y"))), first), "as messages from there on")
	require.Equal(t, continues, relation(trailOf(t, chat(u("User: hi\nAI: x\nUser: why?"))), trailOf(t, chat(u("User: hi")))), "with nothing in front")
	windows := func(body string) string { return strings.ReplaceAll(body, `\n`, `\r\n`) }
	require.Equal(t, continues, relation(trailOf(t, windows(chat(u(prompt("hi", "x", "why?"))))), trailOf(t, windows(chat(u(prompt("hi")))))))
	require.Equal(t, near, relation(trailOf(t, chat(sys("s"), u(prompt("hi", "x", "why?")))), first), "under another system prompt")
	require.Equal(t, continues, relation(trailOf(t, chat(u(prompt("hi", "x", "why?")), a("{"))), trailOf(t, chat(u(prompt("hi")), a("{")))), "in front of how the answer is to begin")
	require.NotContains(t, trailOf(t, chat(a("Hello."), u(prompt("hi")))).Aliases, first.Aliases[2], "behind a greeting, where no transcript is looked for")
	for _, more := range []string{chat(u(prompt("hi")), a("x"), u("y")), chat(u(prompt("hi")), u("y"))} {
		require.Equal(t, apart, relation(trail("hi", "x", "why?"), trailOf(t, more)), "behind another text")
	}
	long := strings.Repeat("x", 500)
	require.Equal(t, apart, relation(trail("hi", "x", long), trail("hi")), "a line that is no more looked at")
	require.Equal(t, apart, relation(trailOf(t, chat(u("Answer."), a("x"), u(prompt("hi", "x", "why?")))), trailOf(t, chat(u("Answer."), a("x"), u(prompt("hi"))))), "in a later text")
}

// So do those inside of an element, which is closed behind the question at hand.
// A backslash before an n is no line break, but may look like one.
func TestTranscriptsThatEndInAQuestionAboutAPath(t *testing.T) {
	t.Parallel()
	first := "Be kind.\nUser: Who needs C:\\new\\notes?"
	second := first + "\nBot: me\nUser: And C:\\new\\names?"
	third := second + "\nBot: you\nUser: Why?"
	for _, body := range []func(string) string{func(text string) string { return chat(u(text)) }, func(text string) string { return `{"prompt":` + quote(text) + `}` }} {
		require.Equal(t, continues, relation(trailOf(t, body(second)), trailOf(t, body(first))))
		require.Equal(t, continues, relation(trailOf(t, body(third)), trailOf(t, body(second))))
	}
}

func TestTranscriptsInAnElement(t *testing.T) {
	t.Parallel()
	trail := func(said ...string) extract.Session {
		var b strings.Builder
		b.WriteString("What was said so far:\n<history>\n")
		for i, s := range said {
			b.WriteString([]string{"user: ", "Friday: "}[i%2] + s + "\n")
		}
		return trailOf(t, chat(sys("s"), u(b.String()+"</history>")))
	}
	said := []string{"hi"}
	for i := range 20 {
		next := append(said[:len(said):len(said)], fmt.Sprintf("Answer %d:\n\n- one", i), fmt.Sprintf("Question %d?", i))
		require.Equal(t, continues, relation(trail(next...), trail(said...)), i)
		require.Equal(t, apart, relation(trail(said...), trail(next...)))
		other := append([]string{"hello"}, next[1:]...)
		require.Equal(t, apart, relation(trail(other...), trail(said...)))
		said = next
	}
	tags := func(said string) string { return chat(u("<user>\n" + said + "\n</user>")) }
	first := trailOf(t, tags("hi"))
	require.Equal(t, continues, relation(trailOf(t, tags("hi\n</user>\n<bot>\nHello.\n</bot>\n<user>\nWhy?")), first), "one for each message")
}

// Most texts that end in a question are no transcripts, and all in them counts, wherever they are.
func TestQuestionsBehindALabel(t *testing.T) {
	t.Parallel()
	for _, words := range [][2]string{
		{"My ticket.\nCustomer 4711: Where is it?", "My ticket.\nCustomer 4712: Where is it?"},
		{"Hi there.\nQuestion about Go: How do I sort?", "Hi there.\nQuestion about C: How do I sort?"},
		{"Look.\nQuestion: What does </div> do?", "Look.\nQuestion: What does </p> do?"},
		{"Look.\nQuestion: \"x\"?", "Look.\nQuestion: x?"},
		{"a\n\nb\nQuestion: x?", "a\nb\nQuestion: x?"},
	} {
		require.Equal(t, apart, relation(trailOf(t, chat(u(words[0]))), trailOf(t, chat(u(words[1])))), words)
	}
	asked := func(i int) string {
		return u(fmt.Sprintf("Context %d.\n\nQuestion: What of the number %d, and why?", i, i))
	}
	window := func(i int) extract.Session { return trailOf(t, chat(asked(i), a("x"), asked(i+1), a("x"), asked(i+2))) }
	require.Equal(t, near, relation(window(2), window(1)), "of the last messages")
	require.Equal(t, near, relation(trailOf(t, chat(asked(1), a("x"), asked(2))), trailOf(t, chat(u("Documents."), asked(1)))), "behind what is left out later")
}

// A text that ends like a transcript, but is none.
func TestNoTranscripts(t *testing.T) {
	t.Parallel()
	trail := func(messages ...string) extract.Session { return trailOf(t, chat(messages...)) }
	log := strings.Repeat("ERROR: no\n", 40) + "ERROR:"

	// The beginning of a text is that of another one only if it ends in the same line.
	require.Equal(t, apart, relation(trail(u("one\nAI: two\nAI")), trail(u("one\nAI:"))))
	require.Equal(t, apart, relation(trail(u("one\nAI: two\nBot:")), trail(u("one\nAI:"))))
	require.Equal(t, apart, relation(trail(u("one AI: two\nAI:")), trail(u("one AI:"))))
	require.Equal(t, apart, relation(trail(u("hi\nhow are you?\nfine?")), trail(u("hi"))))

	// What is pasted later does not hide where earlier turns ended.
	first := trail(u("hi"))
	require.Equal(t, continues, relation(trail(u("hi"), a("hello"), u(log)), first))
	require.Equal(t, apart, relation(trail(u("hi"), a("hello"), u(log)), trail(u("hi"), a("hello"), u("ERROR: no\nERROR:"))))
	require.Equal(t, continues, relation(trail(u(log), a("hello"), u("hi")), trail(u(log))))
	require.Equal(t, continues, relation(trail(u(log), a("1"), u("2"), a("3"), u("4")), trail(u(log), a("1"), u("2"))))
}

// Many texts that end in a cue take no longer than one does.
func TestLinesOfTranscripts(t *testing.T) {
	t.Parallel()
	trail := func(lines int, blank string) extract.Session {
		log := u(strings.Repeat("a\n", lines/2) + "AI:")
		return trailOf(t, `{"messages":[`+log+`,`+log+`,`+u("a\n"+blank+"AI:")+`]}`)
	}
	require.Equal(t, same, relation(trail(1<<14-9, ""), trail(1<<14-9, "\n")))
	require.Equal(t, apart, relation(trail(1<<14, ""), trail(1<<14, "\n")))
}

// An earlier request may have ended at a line that begins with the whole cue, in the first text. What
// a model says in a transcript counts.
func TestWhereTranscriptsMayHaveEnded(t *testing.T) {
	t.Parallel()
	const first, next = "Human: hi\nAI:", "Human: hi\nAI: x\nHuman: on\nAI:"
	for name, test := range map[string]struct {
		later, earlier string
		want           string
	}{
		"there":                   {chat(u(next)), chat(u(first)), continues},
		"behind another text":     {chat(u("Look."), u(next)), chat(u("Look."), u(first)), apart},
		"behind a greeting":       {chat(a("Hello."), u(next)), chat(a("Hello."), u(first)), apart},
		"a line with one letter":  {chat(u("Human: hi\nA pity.\nAI:")), chat(u(first)), apart},
		"the model has said more": {chat(u(next + " y\nHuman: why?\nAI:")), chat(u("Human: hi\nAI: z\nHuman: on\nAI:")), apart},
	} {
		require.Equal(t, test.want, relation(trailOf(t, test.later), trailOf(t, test.earlier)), name)
	}
}
