"""After a promotion: which batch dates were made with other models than a run would use now."""
