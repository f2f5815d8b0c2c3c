"""What models the world uses, week by week: archived, joined to prices, compared. Pure but for `store` and `web`."""
