package extract_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// An advisor writes the conversation into the system prompt.
type advisor struct{ name, before, after, person, model, end string }

var advisors = []advisor{
	{"Langflow", "You are kind.\n\nHistory:\n\n", "", "User: ", "AI: ", "\n"},
	{"CRLF", "You are kind.\r\n\r\nHistory:\r\n\r\n", "", "User: ", "AI: ", "\r\n"},
	{"Spring AI", "You are kind.\n\nUse the MEMORY section.\n\n------\nMEMORY:\n", "------\n", "USER:", "ASSISTANT:", "\n"},
	{"Markdown", "You are kind.\n\n## Conversation so far\n\n", "", "- **User:** ", "- **You:** ", "\n\n"},
	{"elements", "You are kind.\n<chat_history>\n", "</chat_history>\nBe brief.", "<human>", "<ai>", "</human>\n"},
	{"LightRAG", "You are kind.\n\n---Conversation History---\n", "\n---Documents---\nOslo is old.", "user: ", "assistant: ", "\n"},
	{"bold", "You are kind.\n\n**Chat history:**\n", "", "User: ", "AI: ", "\n"},
	{"times", "You are kind.\n\nHistory:\n", "", "[2026-11-29T09:05:00] User: ", "[2026-11-29T09:05:01] Kind agent: ", "\n"},
	{"brackets", "You are kind.\n\nTranscript of the dialog:\n", "", "[Customer] ", "[Bot] ", "\n"},
	{"roles", "You are kind.\n<history>\n", "</history>", "<message role=\"user\">", "<message role=\"assistant\">", "</message>\n"},
	{"JSON", "You are kind.\n\nConversation:\n", "\nBe brief.", `{"role": "user", "content": "`, `{"role": "assistant", "content": "`, "\"}\n"},
	{"Chinese", "You are kind.\n\n历史对话：\n", "", "用户：", "助手：", "\n"},
	{"Chinese, of a chat", "You are kind.\n\n聊天记录：\n", "", "用户：", "助手：", "\n"},
	{"traditional Chinese", "You are kind.\n\n## 對話\n", "", "用戶：", "助手：", "\n"},
	{"traditional Chinese, history", "You are kind.\n\n## 歷史\n", "", "用戶：", "助手：", "\n"},
	{"brackets in Chinese", "You are kind.\n\n【对话历史】\n", "", "【用户】", "【客服】", "\n"},
	{"Japanese", "You are kind.\n\n## 会話履歴\n", "", "ユーザー: ", "アシスタント: ", "\n"},
	{"Korean", "You are kind.\n\n# 이전 대화 내용\n", "", "사용자: ", "상담원: ", "\n"},
	{"Russian", "You are kind.\n\nИстория диалога:\n", "", "Пользователь: ", "Ассистент: ", "\n"},
	{"German", "You are kind.\n\nBisheriger Verlauf:\n", "", "Nutzer: ", "Assistent: ", "\n"},
	{"French", "You are kind.\n\nHistorique :\n", "", "Utilisateur : ", "Assistant : ", "\n"},
	{"Portuguese", "You are kind.\n\nConversa:\n", "", "Usuário: ", "Assistente: ", "\n"},
	{"a list of Python", "You are kind.\n\nMemory:\n[", "]", `{'role': 'user', 'content': '`, `{'role': 'assistant', 'content': '`, "'}, "},
}

func (m advisor) body(said ...string) string {
	var b strings.Builder
	b.WriteString(m.before)
	for i, s := range said[:len(said)-1] {
		b.WriteString([]string{m.person, m.model}[i%2] + s + m.end)
	}
	return chat(sys(b.String()+m.after), u(said[len(said)-1]))
}

func TestConversationsInTheSystemPrompt(t *testing.T) {
	t.Parallel()
	for _, m := range advisors {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			said := []string{"Where is </b> in \"Norway\"?"}
			for i := range 6 {
				next := append(said[:len(said):len(said)], fmt.Sprintf("Answer %d:\n\n1. one\n2. two", i), fmt.Sprintf("And why is that so, %d times?\nTell me.", i))
				last := trailOf(t, m.body(said...))
				require.Equal(t, near, relation(trailOf(t, m.body(next...)), last), i)
				require.Equal(t, same, relation(trailOf(t, m.body(next...)), trailOf(t, m.body(next...))))

				other := append([]string{}, next...)
				other[len(other)-3] = "So: " + other[len(other)-3]
				require.Equal(t, apart, relation(trailOf(t, m.body(other...)), last), "another question")
				elsewhere := m
				elsewhere.before = "You are rude." + strings.TrimPrefix(m.before, "You are kind.")
				require.Equal(t, apart, relation(trailOf(t, elsewhere.body(next...)), last), "another application")
				require.Equal(t, apart, relation(trailOf(t, m.body(said...)), trailOf(t, m.body(next...))), "the other way round")
				said = next
			}
		})
	}

	// A system prompt beside the messages is no part of it.
	beside := func(said ...string) string { return `{"system":"Be brief.",` + advisors[0].body(said...)[1:] }
	require.Equal(t, near, relation(trailOf(t, beside("Where is Oslo in Norway?", "There.", "And why?")), trailOf(t, beside("Where is Oslo in Norway?"))))

	// But it may have the conversation itself.
	in := func(front, said, question string) extract.Session {
		return trailOf(t, claude(quote(front+"\n\nHistory:\n"+said), u(question)))
	}
	later := in("You are kind.", "User: Where is Oslo in Norway?\nAI: x", "And why?")
	require.Equal(t, near, relation(later, in("You are kind.", "", "Where is Oslo in Norway?")))
	require.Equal(t, apart, relation(later, in("You are rude.", "", "Where is Oslo in Norway?")))
	later = in("You are kind.", "User: What is meant by a set of {a, b}?\nAI: x\nUser: And why?\nAI: y", "Since when?")
	require.Equal(t, apart, relation(later, in("You are kind.", "User: What is meant by a set of {c, d}?\nAI: x", "And why?")))
}

// Others have all of it in one text of a person. What stands between the conversation and the question
// at hand, and behind that, may be anything.
// A backslash before an n looks like a line break, in the prompt as in the question at hand.
func TestConversationsAboutPathsInTheSystemPrompt(t *testing.T) {
	t.Parallel()
	m := advisors[0]
	said := []string{`Who needs the folder C:\new\notes?`, "x", `And what is in C:\new\names?`}
	next := append(said, "y", "Why?")
	require.Equal(t, near, relation(trailOf(t, m.body(next...)), trailOf(t, m.body(said...))))
}

func TestConversationsInOneText(t *testing.T) {
	t.Parallel()
	ends := map[string]func(m advisor, question string) string{
		"in its place": func(m advisor, q string) string { return m.person + q + m.end + m.after + "\nBe brief." },
		"a label":      func(m advisor, q string) string { return m.after + "\n\nAnswer this.\n\nQuestion: " + q + "\nAnswer:" },
		"an element":   func(m advisor, q string) string { return m.after + "\n\n<question>" + q + "</question>\nBe brief." },
	}
	for _, m := range advisors {
		for how, end := range ends {
			t.Run(m.name+", "+how, func(t *testing.T) {
				t.Parallel()
				trail := func(system, before string, said ...string) extract.Session {
					var b strings.Builder
					for i, s := range said[:len(said)-1] {
						b.WriteString([]string{m.person, m.model}[i%2] + s + m.end)
					}
					return trailOf(t, chat(sys(system), u(before+b.String()+end(m, said[len(said)-1]))))
				}
				at := func(said ...string) extract.Session { return trail("At 9:05.", m.before, said...) }
				said := []string{"Where is Oslo in Norway?"}
				for i := range 6 {
					next := append(said[:len(said):len(said)], fmt.Sprintf("Answer %d: one. two.", i), fmt.Sprintf("And why is that so, %d times?", i))
					last := at(said...)
					require.NotEqual(t, apart, relation(trail("At 9:07.", m.before, next...), last), i)
					require.NotEqual(t, apart, relation(at(next...), last))
					require.Equal(t, apart, relation(trail("Be rude.", m.before, next...), last), "another application")
					require.Equal(t, apart, relation(trail("At 9:05.", "Be rude."+m.before[len("You are kind."):], next...), last), "another prompt")
					other := append([]string{}, next...)
					other[len(other)-3] = "So: " + other[len(other)-3]
					require.Equal(t, apart, relation(at(other...), last), "another question")
					if i > 1 && how == "a label" {
						require.Equal(t, near, relation(at(next[2:]...), last), "in a window")
					}
					said = next
				}
			})
		}
	}
}

// Where the question at hand has no label, or stands far from the end, a turn is found by the two
// questions before it.
func TestConversationsInTheMidstOfAText(t *testing.T) {
	t.Parallel()
	for _, m := range advisors {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			at := func(found string, said ...string) extract.Session {
				var b strings.Builder
				for i, s := range said[:len(said)-1] {
					b.WriteString([]string{m.person, m.model}[i%2] + s + m.end)
				}
				return trailOf(t, chat(sys("s"), u(m.before+b.String()+m.after+found+"\nJust now they said:\n"+said[len(said)-1]+strings.Repeat("\nBe brief.", 50))))
			}
			said := []string{"Where is Oslo in Norway?", "x", "And since when is it there?"}
			for i := range 3 {
				next := append(said[:len(said):len(said)], "y", fmt.Sprintf("And why is that so, %d times?", i))
				require.Equal(t, near, relation(at("é", next...), at("Oslo is \"old\".", said...)), i)
				other := append([]string{}, said...)
				other[len(other)-3] = "So: " + other[len(other)-3]
				require.Equal(t, apart, relation(at("é", next...), at("é", other...)), "another question")
				said = next
			}
			shots := []string{"How do I return an item?", "x", "And where is my order now?", "y"}
			require.Equal(t, apart, relation(at("é", append(shots, "Why?")...), at("é", append(shots, "How?")...)), "examples")
		})
	}
}

// A system prompt may have lines that look like those of a person.
func TestConversationsInOneTextUnderSuchLines(t *testing.T) {
	t.Parallel()
	for how, system := range map[string]string{
		"what a tool takes": "Be kind.\n\nsearch\n  query: what to look for in the documents\n  n: how many of them",
		"an example":        "Be kind.\n\nUser: How do I return an item to the shop?\nAI: So.",
	} {
		const first = "Conversation:\nUser: Where is Oslo in Norway?\nAI: x\nUser: And since when is it there?"
		at := func(talk string) extract.Session { return trailOf(t, chat(sys(system), u(talk+"\nBe brief."))) }
		require.Equal(t, near, relation(at(first+"\nAI: y\nUser: Why?"), at(first)), how)
	}
}

// What somebody pastes beside own words is none of the conversation.
func TestConversationsInOneOfTwoTexts(t *testing.T) {
	t.Parallel()
	const first = "Conversation:\nUser: Where is Oslo in Norway?\nAI: x\nUser: And since when is it there?"
	at := func(before, talk string) extract.Session {
		return trailOf(t, chat(sys("s"), ub(text_(before), text_(talk))))
	}
	require.Equal(t, apart, relation(at("Who is right?", first+"\nAI: y\nUser: Why?\nBe brief."), at("Sum this up.", first+"\nBe brief.")))
}

// Many ask something of their own below questions of others that were looked up for them.
func TestAnsweredQuestionsAreNoConversation(t *testing.T) {
	t.Parallel()
	faq := func(first int) (s string) {
		for i := range 3 {
			s += fmt.Sprintf("Question: How do I see the history of item %d:\nAnswer: So.\n\n", first+i)
		}
		return s
	}
	for how, prompt := range map[string]func(found, question string) string{
		"behind":                 func(found, q string) string { return "Use these.\n\n" + found + q },
		"behind, a long way off": func(found, q string) string { return "Use these.\n\n" + found + strings.Repeat("Be kind.\n", 60) + q },
		"in front":               func(found, q string) string { return "Question: " + q + "\n\n" + found + "Be brief." },
	} {
		at := func(first int, q string) extract.Session { return trailOf(t, chat(sys("s"), u(prompt(faq(first), q)))) }
		require.Equal(t, apart, relation(at(1, "Where is my order?"), at(0, "What do I pay?")), how)
		require.Equal(t, apart, relation(at(0, "Where is my order?"), at(1, "What do I pay?")), how)
	}
	for how, far := range map[string][2]string{
		"a heading far from the beginning": {strings.Repeat("Be kind. ", 40), "x"},
		"a heading far from the end":       {"Be kind.", strings.Repeat("x ", 5000)},
	} {
		first := far[0] + "\n\nHistory:\nUser: Where is Oslo?\nAI: " + far[1] + "\nUser: Where is Bergen in Norway?\nAI: x\nUser: And since when is it there?\nAI: y"
		at := func(talk, q string) extract.Session { return trailOf(t, chat(sys("s"), u(talk+"\n\nJust now: "+q))) }
		require.Equal(t, near, relation(at(first+"\nUser: Why?\nAI: z", "Who says so?"), at(first, "Why?")), how)
	}
	for how, end := range map[string]string{"a wish": "\n\nBe brief.", "a cue": "\n\nAI:", "an order with a colon": "\n\nAnswer in one line:", "a colon far off": "\n\nAnswer in one line, such as: Oslo."} {
		first := "User: Where is Oslo in Norway?\nAI: x\nUser: And since when is it there?"
		at := func(time, talk string) extract.Session { return trailOf(t, chat(sys("s"), u(time+"\n"+talk+end))) }
		require.Equal(t, near, relation(at("At 9:07", first+"\nAI: y\nUser: Why?"), at("At 9:05", first)), how)
	}
}

// Of two who begin alike, each finds the own turn before first, if anything tells them apart.
func TestConversationsInSystemPromptsThatBeginAlike(t *testing.T) {
	t.Parallel()
	const first, second = "Summarize my day for me, please.", "And what of that comes next?"
	body := func(front, history, question string) string {
		return chat(sys("You are kind.\n"+front+"\n\n"+history), u(question))
	}
	said := "User: " + first + "\nAI: x\n"
	on := said + "User: " + second + "\nAI: y"
	for _, turn := range [][4]string{
		{"History:\n", first, "History:\n" + said, second},
		{"History:\n" + said, second, "History:\n" + on, "Why?"},
		{said, second, on, "Why?"},
	} {
		one, two := trailOf(t, body("It is 9:05. You serve Anna.", turn[0], turn[1])), trailOf(t, body("It is 9:05. You serve Bob.", turn[0], turn[1]))
		next := trailOf(t, body("It is 9:07. You serve Anna.", turn[2], turn[3]))
		require.Contains(t, one.Aliases, next.Near[0])
		require.NotContains(t, two.Aliases, next.Near[0])
		require.Equal(t, near, relation(trailOf(t, body("Read this.", turn[2], turn[3])), one), "with other documents")
	}
}

// Some save the question before they look for what was said.
func TestConversationsWithTheQuestionAtHand(t *testing.T) {
	t.Parallel()
	prompt := "You are kind.\n\nHistory:\nUser: Where is Oslo in Norway?\n"
	first := chat(sys(prompt), u("Where is Oslo in Norway?"))
	prompt += "AI: In the south.\nUser: And where is Bergen, in the west?\n"
	second := chat(sys(prompt), u("And where is Bergen, in the west?"))
	third := chat(sys(prompt+"AI: Yes.\nUser: Thanks.\n"), u("Thanks."))
	require.Equal(t, near, relation(trailOf(t, second), trailOf(t, first)))
	require.Equal(t, near, relation(trailOf(t, third), trailOf(t, second)))
	require.Equal(t, apart, relation(trailOf(t, third), trailOf(t, first)))
}

// Nobody has asked what is an example, and many say what says little.
func TestNoConversationsInTheSystemPrompt(t *testing.T) {
	t.Parallel()
	require.Equal(t, apart, relation(trailOf(t, advisors[0].body("hi", "Hello.", "Where is Oslo in Norway?")), trailOf(t, advisors[0].body("hi"))))
	require.Equal(t, apart, relation(trailOf(t, advisors[0].body("a", "x", "b", "y", "c")), trailOf(t, advisors[0].body("a", "x", "b"))))
	again := "Please go on with what you do now."
	require.Equal(t, apart, relation(trailOf(t, advisors[0].body("a", "x", again, "y", again, "z", again)), trailOf(t, advisors[0].body("b", "x", again, "y", again))))

	const one, two = "How do I return an item to you?", "Where is my order at the moment?"
	for name, prompt := range map[string]string{
		"an example":   "You are kind.\n\nExample conversation:\nUser: " + one + "\nAI: By post.",
		"two examples": "You are kind.\n\nExample conversation:\nUser: " + one + "\nAI: By post.\nUser: " + two + "\nAI: On the way.",
		"no heading":   "You are kind.\nUser: " + one + "\nAI: By post.",
	} {
		stranger := trailOf(t, chat(sys(prompt), u("Anything else that I should know?")))
		for _, words := range []string{one, two} {
			require.Equal(t, apart, relation(stranger, trailOf(t, chat(sys(prompt), u(words)))), name)
			require.Equal(t, apart, relation(stranger, trailOf(t, chat(sys("You are kind."), u(words)))), name)
		}
	}
	begun := func(heading string) string {
		later := trailOf(t, chat(sys("You are kind.\n"+heading+"\nUser: "+one+"\nAI: By post."), u(two)))
		return relation(later, trailOf(t, chat(sys("You are kind.\n"+heading), u(one))))
	}
	for _, line := range []string{"You like conversation.", "1. Mind the conversation.", "1. The conversation -", "- Mind the conversation.", "Это история"} {
		require.Equal(t, apart, begun(line), line)
	}
	for _, heading := range []string{"Memory:", "Transcript:", "The dialog:", "Das Gespräch:", "Unterhaltung:", "历史：", "会話：", "История:", "Диалог:",
		"[Chat history]", "== Conversation ==", "Chat历史：", "<memory>"} {
		require.Equal(t, near, begun(heading), heading)
	}
	headed := "You are kind.\n\nHistory:\n"
	answered := chat(sys(headed), u("Where is Oslo in Norway?"), a("x"))
	require.Equal(t, apart, relation(trailOf(t, chat(sys(headed+"User: Where is Oslo in Norway?\nAI: x"), u("Why?"))), trailOf(t, answered)))
	for _, odd := range []string{"é: x", "{: x", "~", `\x`, "User", "User:", "user:: "} {
		trailOf(t, chat(sys(headed+odd), u("x")))
	}
}
