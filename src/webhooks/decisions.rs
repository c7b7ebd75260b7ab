//! What a person's STOP or START does, and the one answer it gets.

use crate::clock::DAY;
use crate::delivery::content::Body;
use crate::delivery::{self, Content, Message, MessageKind, NewMessage};
use crate::links::Tags;
use crate::opt_ins;
use crate::store::ids::SubscriberId;
use crate::subscribers::{self, Means, OptIn};
use crate::webhooks::keywords::Keyword;
use crate::webhooks::meta::Person;

impl Person<'_> {
    pub(super) async fn decided(
        &mut self,
        id: SubscriberId,
        word: Keyword,
        key: &str,
    ) -> anyhow::Result<()> {
        let before = subscribers::standing(self.app, self.conn, id).await?;
        let event_key = format!("keyword:{key}");
        match word {
            Keyword::Stop => {
                subscribers::opt_out(self.app, self.conn, id, Means::Keyword, self.at, &event_key)
                    .await?;
                let after = subscribers::standing(self.app, self.conn, id).await?;
                if before.has_opted_out || !after.has_opted_out {
                    return Ok(());
                }
                let due = self.app.clock.now() + opt_ins::SECOND_THOUGHTS;
                opt_ins::owe(self.conn, self.page.workspace, id, due).await?;
                let page = self.page_name().await?;
                self.reply(
                    id,
                    format!("You will get no more messages from {page}. Write START to come back."),
                )
                .await
            }
            Keyword::Start if before.has_token => {
                if before.is_subscribed {
                    return Ok(());
                }
                let how = OptIn {
                    source: Some("keyword".to_owned()),
                    ..OptIn::default()
                };
                let (app, at) = (self.app, self.at);
                if subscribers::opt_in(app, self.conn, id, Means::Keyword, how, at, &event_key)
                    .await?
                {
                    let page = self.page_name().await?;
                    self.reply(id, format!(
                        "Welcome back: you get messages from {page} again. Write STOP at any time \
                         to end them."
                    ))
                    .await?;
                }
                Ok(())
            }
            Keyword::Start => {
                subscribers::came_from(self.conn, id, "keyword").await?;
                self.done.pages.insert(self.page.id);
                if opt_ins::ask_again(self.app, self.conn, self.page, id, self.at).await? {
                    return Ok(());
                }
                let page = self.page_name().await?;
                self.reply(
                    id,
                    format!(
                        "To get messages from {page}, tap the button in the sign-up card above. \
                     Messenger lets us send you a new card next week."
                    ),
                )
                .await
            }
        }
    }

    async fn page_name(&mut self) -> anyhow::Result<String> {
        Ok(sqlx::query_scalar("SELECT name FROM pages WHERE id = $1")
            .bind(self.page.id)
            .fetch_one(&mut *self.conn)
            .await?)
    }

    /// One confirmation of what the person asked for.
    async fn reply(&mut self, id: SubscriberId, text: String) -> anyhow::Result<()> {
        let message = NewMessage {
            workspace: self.page.workspace,
            page: self.page.id,
            subscriber: id,
            origin: self.app.ids.next(),
            kind: MessageKind::Reply,
            automation: None,
            content: Content {
                body: Body::Message(Message::Text {
                    text,
                    buttons: Vec::new(),
                    quick_replies: Vec::new(),
                }),
                tags: Tags::default(),
            },
            due_at: self.app.clock.now(),
            expires_at: Some(self.at + DAY),
        };
        delivery::enqueue(self.conn, self.app.clock.now(), &message).await?;
        self.done.pages.insert(self.page.id);
        Ok(())
    }
}
