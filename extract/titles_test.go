package extract_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/extract"
)

// Titles are asked for in words without number: in a system prompt alone, for a
// conversation, of a model that has nothing else to do.
func TestTitlesInAnyWords(t *testing.T) {
	t.Parallel()
	const titler = "You are a professional conversation summarizer. Generate a concise title that captures the essence of the conversation." // LobeChat
	for system, want := range map[string]extract.Class{
		titler: extract.Auxiliary,
		"Generate a very short chat title (2-5 words max) based on the user's message.":                                 extract.Auxiliary,
		"You expertly summarize the User Text into a short title or phrase to represent a conversation.":                extract.Auxiliary, // LangChain in Elixir
		"You are coming up with a title and a git branch name for a coding session based on":                            extract.Auxiliary, // Claude Code
		"You generate concise, human-readable titles for coding sessions.":                                              extract.Auxiliary,
		"You will create a sentence-case title for the thread below.":                                                   extract.Auxiliary,
		"You are a conversation-savvy assistant. Summarize the conversation into a title within 5 words.":               extract.Auxiliary, // LobeChat before
		"You are a chatbot that generates titles for articles.":                                                         extract.Turn,
		"You are an AI conversation titles assistant who specializes in creating expressive yet few-words chat titles.": extract.Auxiliary, // big-AGI
		"Generate a concise session title (max 50 characters) based on the conversation.":                               extract.Auxiliary, // kimi-cli
		"Generate a very short title (3-6 words) for a coding session, from its first message.":                         extract.Auxiliary, // Oh-my-pi
		"You create subtitles for a recorded session.":                                                                  extract.Turn,
		"You are a conversation title generator.":                                                                       extract.Auxiliary,
		"You are a creative writer. Write stories with a title, and keep the conversation going.":                       extract.Turn,
		"You are a tutor. Write each lesson with a title. Each session is 30 minutes.":                                  extract.Turn,
		"You generate posts for a forum: each has a title and starts a thread.":                                         extract.Turn,
		"You help title insurance companies create documents and chat with customers.":                                  extract.Turn,
		"You translate. Keep the title of the chat in the original language, and create natural sentences.":             extract.Turn,
		"You are titlebot. Given a conversation, you will suggest a title.":                                             extract.Auxiliary, // Discourse
		"You are a session titler. Given a conversation, generate a short title (≤50 characters, Chinese OK).":          extract.Auxiliary,
		"Given a conversation, write a blog post and suggest a title for it.":                                           extract.Turn,
		"You help authors. Given a conversation about their book, you suggest a title.":                                 extract.Turn,
		"You are a helpful assistant in a long conversation.":                                                           extract.Turn,

		`- you will generate a short title based on the first message a user begins a conversation with\n- ensure it`:                                      extract.Auxiliary, // Vercel's chatbot
		"User will provide you with the first message of the chat, and you will generate a short title for the chat that summarizes":                       extract.Auxiliary,
		"You are a title generator for a chat application. Your task is to create a concise title based on the user's first message in a chat.":            extract.Auxiliary,
		"You are a title generator. Output ONLY a short conversation title and nothing else.":                                                              extract.Auxiliary,
		"You are a title generator for conversations.":                                                                                                     extract.Auxiliary,
		"You need to summarize the user's conversation into a title within 10 words.":                                                                      extract.Auxiliary, // Cherry Studio
		"Summarize the given session as a 10-word title":                                                                                                   extract.Auxiliary, // Cherry Studio
		"你是一个标题生成助手，请根据以下对话内容生成一个简短的标题，不超过10个字":                                                                                                            extract.Auxiliary,
		"你是一个对话标题生成器，根据用户的第一条消息生成标题":                                                                                                                       extract.Auxiliary,
		"Based on the first user message of a thread, generate a concise, clear title that captures the essence of the discussion in less than 4 words.":   extract.Auxiliary,
		"You are a title generator. Read the first message from the user and create a short, direct title that summarizes what the conversation is about.": extract.Auxiliary,
		"You are a seminar planner. Generate a title for the discussion, three questions and a reading list.":                                              extract.Turn,
		"You help scientists. Generate discussion titles.":                                                                                                 extract.Turn,
		"You write titles for panel discussions.":                                                                                                          extract.Turn,
		"You write a blog. Suggest a title that captures what the chat is about and write the post.":                                                       extract.Turn,
		"You write a blog. Suggest a title that summarizes what the chat is about, then answer.":                                                           extract.Turn,
		"You write agendas. Create a title for each discussion.":                                                                                           extract.Turn,
		"You write the minutes. Create a title for the discussion section of the protocol.":                                                                extract.Turn,
		"You are a podcast producer. You generate titles and show notes for conversations with guests.":                                                    extract.Turn,
		"You are a YouTube title generator. You write catchy titles. Chat with the user to find the best one.":                                             extract.Turn,
		"You generate SEO titles for product pages. Keep the conversation friendly.":                                                                       extract.Turn,
		"You are a headline writer. Create titles for news articles in this session.":                                                                      extract.Turn,
		"You write titles for research sessions at our conference.":                                                                                        extract.Turn,
		"Generate a title for each session proposal that the user gives you.":                                                                              extract.Turn,
		"You are a copywriter who creates titles for chat apps.":                                                                                           extract.Turn,
		"You generate job titles from CVs. In conversation with the recruiter you refine them.":                                                            extract.Turn,
		"You are a Reddit assistant: write a thread title and body that fits the subreddit.":                                                               extract.Turn,
		"You are a bug triage bot. Generate an issue title and classify severity from the conversation.":                                                   extract.Turn,
		"You are a support assistant. When the chat ends, write a ticket title and a description.":                                                         extract.Turn,
		"You write email replies. Summarize the thread, then propose a title and an answer.":                                                               extract.Turn,
		"You create session titles for a physiotherapy clinic.":                                                                                            extract.Turn,
		"You generate titles for customer conversations which the user pastes, then discuss them.":                                                         extract.Turn,
		"You write Jira tickets from chat messages. Write the title in imperative mood.":                                                                   extract.Turn,
		"你是一个智能助手，回答时请用Markdown标题组织内容，并结合对话内容":                                                                                                             extract.Turn,
		"你是一个客服助手，根据会话内容创建工单，包括标题和描述":                                                                                                                      extract.Turn,
		"You are a playwright. Write a title for the conversation, then the dialogue.":                                                                     extract.Turn,
		"You are a poet. Write the conversation as a poem and give it a title.":                                                                            extract.Turn,
		"You are a Twitch bot. Create song titles based on the chat.":                                                                                      extract.Turn,
		"You are a support agent. Generate a ticket title summarizing the conversation.":                                                                   extract.Turn,
		"You help moderators: write a title for each thread, and a digest of it.":                                                                          extract.Turn,
		"你是客服。请总结对话内容，并为工单生成简短的标题，然后继续回答用户的问题。":                                                                                                            extract.Turn,
		"你是聊天助手。请根据对话内容生成回复，必要时给出标题":                                                                                                                       extract.Turn,
		"You create subtitles for the conversation. Keep titles.":                                                                                          extract.Turn,
		"Given a conversation, you will suggest a title and a tag.":                                                                                        extract.Turn,
		"Given a conversation, write a blog post and suggest a title.":                                                                                     extract.Turn,
		"After the conversation, you suggest a title.":                                                                                                     extract.Turn,
		"Write a title for the conversation's history.":                                                                                                    extract.Auxiliary,
		"Generate " + strings.Repeat("x", 50) + " title for the conversation.":                                                                             extract.Auxiliary,
		"Generate " + strings.Repeat("x", 51) + " title for the conversation.":                                                                             extract.Turn,
		"You generate headlines. " + strings.Repeat("x", 200) + " Give the chat a title.":                                                                  extract.Turn,
	} {
		require.Equal(t, want, says(system, "x").Class(), system)
	}
	for _, body := range []string{
		`{"system":"` + titler + `","tools":[{"name":"a"}],"messages":[{"role":"user","content":"x"}]}`,
		`{"system":"` + titler + `","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"},{"role":"user","content":"z"}]}`,
		`{"messages":[{"role":"user","content":"` + titler + `"}]}`,
		`{"functions":[{"name":"a"}],"messages":[{"role":"system","content":"` + titler + `"},{"role":"user","content":"x"}]}`,
		`{"system":"` + titler + `","messages":[{"role":"user","content":"x"},{"role":"user","content":"y"}]}`,
		`{"system":"` + titler + `","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}`,
		`{"system":"` + titler + `","messages":[{"role":"user","content":"x"}]`,
		`{"systemInstruction":"` + titler + `","toolConfig":{"tools":[]},"contents":[{"role":"user","parts":[{"text":"x"}]}]}`,
	} {
		require.Equal(t, extract.Turn, classOf(body), body)
	}
	require.Equal(t, extract.Auxiliary, (&extract.Request{
		Body: []byte(`{"system":"` + titler + `","tools":[],"messages":[{"role":"user","content":"x"}]}`),
	}).Class())
}

// oneByOne is a text with one of the words, which are apart by "|", or with none of them in between.
type oneByOne struct {
	before, none, words, after string
	with, without              extract.Class
}

// check checks what class the text is of with each of the words, and without.
func (o oneByOne) check(t *testing.T, class func(text string) extract.Class) {
	t.Helper()
	for word := range strings.SplitSeq(o.words, "|") {
		require.Equal(t, o.with, class(o.before+word+o.after), word)
	}
	require.Equal(t, o.without, class(o.before+o.none+o.after), o.none)
}

// Each of these words makes the difference.
func TestTitleWordsOneByOne(t *testing.T) {
	t.Parallel()
	for _, tt := range []oneByOne{
		{"You ", "see", "generate|create|write|summarize it into|output|are coming up with|suggest|provide", " a title for the conversation.", extract.Auxiliary, extract.Turn},
		{"Generate a ", "short", "song|ticket|issue|post|article", " title for the conversation.", extract.Turn, extract.Auxiliary},
		{"Generate a page", " and a", " with a| that has a|, each a| and give it a|: a|. Take a", " title for the conversation.", extract.Turn, extract.Auxiliary},
		{"Generate a title ", "to the", "for the|of the|from the|from a|based on the|capturing the|to summarize the|to describe the|to reflect the|to represent the", " conversation.", extract.Auxiliary, extract.Turn},
		{"Generate a conversation title ", "at", "in|within|under|of", " 5 words.", extract.Auxiliary, extract.Turn},
		{"Generate a conversation title in 5 ", "days", "words|characters", ".", extract.Auxiliary, extract.Turn},
		{"Generate a title for the conversation", " with Bob", "| so far| from below| between the user and you| using it| based on it| that captures it| that summarizes it| and nothing else|, please|: it", ".", extract.Auxiliary, extract.Turn},
		{"Generate a title for the page", " and the", " in this| with the| when the| each", " conversation.", extract.Turn, extract.Auxiliary},
	} {
		tt.check(t, func(text string) extract.Class { return says(text, "x").Class() })
	}
}

// Titles are also asked for behind the conversation, or with it, in what looks like a
// person's words.
func TestTitlesOfThis(t *testing.T) {
	t.Parallel()
	for person, want := range map[string]extract.Class{
		`\n  Generate a title for this conversation in under 10 words.\n  It should not`:                 extract.Auxiliary, // Twinny
		"Generate a title (maximum 50 characters) for a conversation that starts with this message:":     extract.Auxiliary, // OpenHands
		`Generate a concise title for this chat.\nRules:`:                                                extract.Auxiliary, // nanobot
		"Create a concise, 3-5 word phrase as a title for this conversation. Avoid quotation marks":      extract.Auxiliary, // Page Assist
		"Given the following... please reply with a title for the chat that is 3-4 words in length":      extract.Auxiliary, // Continue
		"Your task: Create a 2-4 word title for this conversation.":                                      extract.Auxiliary, // gptme
		"Generate a specific and contextual title (2-3 words) for a chat conversation that starts with":  extract.Auxiliary,
		"Provide a title for the conversation above. Do not return anything other than the title.":       extract.Auxiliary,
		"Give this a name: write a title for the chat, and only the title.":                              extract.Turn,
		`Generate a dialog title of exactly five words that summarizes the main theme.\nNo punctuation.`: extract.Auxiliary,
		`Write a title for this conversation:\n\nUser: hi\nAssistant: Hello.`:                            extract.Auxiliary,
		`Suggest a title for the following conversation:\nHuman: hi`:                                     extract.Auxiliary,
		`Write a title for this conversation:\n\nRomeo: hi\nJuliet: Hello.`:                              extract.Turn,
		`Write a title for this conversation: User: hi`:                                                  extract.Turn,
		`I like the title for this conversation:\n\nUser: hi`:                                            extract.Turn,
		"Create a short chat title.":               extract.Auxiliary,
		"Create a short chat title for my stream.": extract.Turn,
		"How do I write a short chat title?":       extract.Turn,
		"The button is behind the chat title.":     extract.Turn,
		`Generate a concise, descriptive title for the following user query.\n\nRules:\n- One line`:           extract.Auxiliary,
		"Come up with a short title for this chat based on the user's first message. Requirements: 3-6 words": extract.Auxiliary,
		"Come up with a short title for the user query language that we have designed":                        extract.Turn,
		"Suggest a brief title for our conversation, and then summarize what I should do next.":               extract.Turn,
		"Write code that summarizes the chat into a title.":                                                   extract.Turn,
		"Write a title of at most six words for this conversation. Reply with the title only":                 extract.Auxiliary,
		"Write a title of at most six words for this conversation starter":                                    extract.Turn,
		"Create a short title for the dialog.":                                                                extract.Turn, // a window
		"Suggest a title (max 5 words) for this dialog.":                                                      extract.Turn,
		"Suggest a short title for this chat app":                                                             extract.Turn,
		"Write a function that generates a title for this conversation in under 10 words":                     extract.Turn,
		"Translate to German: Generate a concise title for this chat.":                                        extract.Turn,
		"Write a short story with the title of the conversation":                                              extract.Turn,
		"Write a short poem, titled for this conversation":                                                    extract.Turn,
		"Suggest a chat title.":                                                                                                                      extract.Turn,
		"Generate a title of at most 6 words.":                                                                                                       extract.Turn,
		"Summarize this conversation into a short title":                                                                                             extract.Auxiliary,
		"Create a " + strings.Repeat("x", 91) + " title for this chat in under 10 words":                                                             extract.Auxiliary,
		"Create a " + strings.Repeat("x", 92) + " title for this chat in under 10 words":                                                             extract.Turn,
		"Summarize this conversation into a " + strings.Repeat("x", 42) + " title":                                                                   extract.Auxiliary,
		"Summarize this conversation into a " + strings.Repeat("x", 43) + " title":                                                                   extract.Turn,
		"Turn this conversation into a short title":                                                                                                  extract.Turn,
		"Summarize this conversation into a title and 5 words":                                                                                       extract.Turn,
		"Summarize the conversation " + strings.Repeat("x", 33) + " into a title":                                                                    extract.Auxiliary,
		"Summarize the conversation " + strings.Repeat("x", 34) + " into a title":                                                                    extract.Turn,
		"Give me a title for this conversation":                                                                                                      extract.Turn,
		"Generate a concise title for the following content: we have moved to a new office":                                                          extract.Auxiliary, // Crush
		"Create a short title for the essay: this conversation":                                                                                      extract.Turn,
		"Your task is to create a descriptive title (3-4 words) for a new chat session based on":                                                     extract.Auxiliary,
		"Generate a concise 3-7 word title for this conversation, omitting punctuation.":                                                             extract.Auxiliary, // Zed
		"Generate a concise title (max 5 words) for this conversation based on":                                                                      extract.Auxiliary, // Copilot for Obsidian
		"Please write a 5-10 word title for the following conversation:":                                                                             extract.Auxiliary, // Claude Code
		"Provide a concise, 5-word-or-less title for the conversation, using":                                                                        extract.Auxiliary, // LibreChat
		"Generate a concise title for this coding session. Return only 3 to 7 words naming its subject.":                                             extract.Auxiliary,
		"Suggest a short title for this thread of mine":                                                                                              extract.Turn,
		`I will give you some dialogue content in the block.\nYou need to summarize the conversation between user and assistant into a short title.`: extract.Auxiliary, // RikkaHub
		"You need to summarize the user's conversation into a title of no more than 10 words, with":                                                  extract.Auxiliary, // DeepChat
		"Summarize this conversation into a short title (max 5 words).":                                                                              extract.Auxiliary,
		"Generate a title in less than 6 words for the following message: we moved to a new office":                                                  extract.Turn,
		"Summarize the conversation so far into a title of very few words.":                                                                          extract.Auxiliary,
		"Condense this conversation into a five-word title.":                                                                                         extract.Auxiliary,
		"Summarize this article into a short title":                                                                                                  extract.Turn,
		"Summarize the chat messages in this CSV into a title column":                                                                                extract.Turn,
		"Please summarise each conversation in the table into a title and five lines":                                                                extract.Turn,
		"How do I summarize a conversation into a title with the API?":                                                                               extract.Turn,
		"Write a function that summarizes a chat into a title":                                                                                       extract.Turn,
		"Summarize our conversation into a short title and a paragraph":                                                                              extract.Turn,
		"Summarize the conversation between the two philosophers that I have attached into a title.":                                                 extract.Turn,
		"Generate a concise title for the following conversation between a user and an AI assistant":                                                 extract.Auxiliary,
		"Find a concise title for a conversation between a user and an assistant. Don't output anything else.":                                       extract.Auxiliary,
		"Generate a title for this conversation.":                                                                                                    extract.Turn,
		"Give me a short title for the chat that I had with my landlord":                                                                             extract.Turn,
		"Write a short title for this conversation between Romeo and Juliet":                                                                         extract.Turn,
		"Create a brief title for the following conversation in my play":                                                                             extract.Turn,
		"Provide a short title for a conversation that I will lead at a conference":                                                                  extract.Turn,
		"Write a brief title for our conversation group poster":                                                                                      extract.Turn,
		"Create a title of 5 words for a chat conversation app":                                                                                      extract.Turn,
		"Turn the chat into a title page":                                                                                                            extract.Turn,
		"Write a short story with a title of one word for my dog":                                                                                    extract.Turn,
		strings.Repeat("x", 100) + " Create a short title for this conversation.":                                                                    extract.Turn,
	} {
		require.Equal(t, want, says("", person).Class(), person)
	}
	for _, what := range []string{
		"a coding session", "a new conversation", "our conversation", "the conversation", "the following conversation",
		"this chat: ", `this chat\nand`, "this chat session", "this chat based on",
	} {
		require.Equal(t, extract.Auxiliary, says("", "Create a short title for "+what).Class(), what)
	}
	// Each of these words makes the difference.
	for _, tt := range []oneByOne{
		{"Create a short ", "blog", "conversation|chat|dialog|dialogue", " title.", extract.Auxiliary, extract.Turn},
		{"Create a ", "new", "5-word|20-character|concise|short|brief", " title for this chat.", extract.Auxiliary, extract.Turn},
		{"", "Show", "Generate|Create|Write|Provide|Suggest|Reply with|Give|Summarize in|Find a|Come up with", " short title for this chat.", extract.Auxiliary, extract.Turn},
		{"Create a short title for ", "a user message", "this chat|the following user query|the following user message|the user's first message", ".", extract.Auxiliary, extract.Turn},
		{"Create ", "now", "text that has|text which has|a function and|a script and|and translate|how to get|a prompt and", " a short title for this chat.", extract.Turn, extract.Auxiliary},
	} {
		tt.check(t, func(text string) extract.Class { return says("", text).Class() })
	}
	// Prompts of applications that are the only message tell the model what it is.
	for person, want := range map[string]extract.Class{
		`You are an expert assistant tasked with generating an extremely short title for a conversation thread. Be concise.\n\nHere is the user's message:\nhi`: extract.Auxiliary, // Open Canvas
		`You are a helpful assistant that creates titles for conversations.\n\nUser Query: hi`:                                                                  extract.Auxiliary,
		`### Task:\nYou are a helpful assistant that generates concise chat titles.`:                                                                            extract.Auxiliary,
		`You are a tool that writes a commit message for a given diff.\n+x`:                                                                                     extract.Auxiliary,
		`You are a helpful assistant that creates titles for conversations. What would you say?`:                                                                extract.Turn, // in one line
		`You are a helpful assistant that creates titles for novels.\nIt is about a conversation.`:                                                              extract.Turn,
		`You are a conversation summarizer. Summarize our history so far.\nKeep it short.`:                                                                      extract.Turn,
		`You are an editor. Suggest a title for this article:\nA summary of the discussion`:                                                                     extract.Turn, // wanted of a person's text
		`You are a copywriter. Write 5 titles for a podcast episode about the art of conversation.\nIn German.`:                                                 extract.Turn,
		`You are a writer of crime stories\nWrite a title for the chat`:                                                                                         extract.Turn,
		`You are to write a commit message, and then to explain how to rebase.\n+x`:                                                                             extract.Turn,
		`Your task is to write a title for my essay:\nWe had a long conversation.`:                                                                              extract.Turn,
		`Your task is to write a Go program that creates a commit message.\nUse the API.`:                                                                       extract.Turn,
		`Given the commit messages below, write release notes:\n- fix foo`:                                                                                      extract.Turn,
		`Extract the commit messages written by Anna from this log:\nabc`:                                                                                       extract.Turn,
		`My teacher says: "You are a machine that creates titles for conversations."\nIs that so?`:                                                              extract.Turn,
	} {
		require.Equal(t, want, says("", person).Class(), person)
	}
	body := string(says("", "Create a 2-4 word title for this conversation.").Body)
	require.Equal(t, extract.Turn, classOf(withTools(body)))
}
